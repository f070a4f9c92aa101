//! Names of synthetic users, in many scripts. First and last names are drawn at random from lists of common names of one script;
//! the last names at the head of a list are drawn more often, as they are more frequent in reality.

use rand::RngExt;
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::IndexedRandom;

use crate::text;

/// The random generator: a named one, because rand guarantees that its output is the same on every machine.
pub type DemoRng = Xoshiro256PlusPlus;

/// The name of one user.
#[derive(Clone, Debug)]
pub struct Name {
    pub first: String,
    pub last: String,
    /// The first name in lower-case ASCII letters.
    pub first_ascii: String,
    /// The last name in lower-case ASCII letters.
    pub last_ascii: String,
    pub is_womans: bool,
}

/// The names of all cultures.
pub struct Names(Vec<Culture>);

impl Names {
    /// Reads the lists below.
    #[must_use]
    pub fn read() -> Self {
        Self(LISTS.iter().map(Culture::read).collect())
    }

    /// Draws a name.
    pub fn draw(&self, rng: &mut DemoRng) -> Name {
        let mut left = rng.random_range(0..self.0.iter().map(|culture| culture.share).sum::<u32>().max(1));
        let drawn = self.0.iter().find(|culture| {
            let found = left < culture.share;
            left = left.saturating_sub(culture.share);
            found
        });
        drawn.map_or_else(|| Word::read("Doe").name(), |culture| culture.draw(rng))
    }
}

struct Culture {
    share: u32,
    women: Vec<Word>,
    men: Vec<Word>,
    last: Vec<Word>,
    two_first: SecondName,
    two_last: SecondName,
}

impl Culture {
    fn read(list: &List) -> Self {
        let List { share, women, men, last, two_first, two_last } = *list;
        let words = |text: &'static str| text.split(',').map(Word::read).collect();
        Self { share, women: words(women), men: words(men), last: words(last), two_first, two_last }
    }

    fn draw(&self, rng: &mut DemoRng) -> Name {
        let is_womans = rng.random_ratio(11, 20);
        let first = draw(if is_womans { &self.women } else { &self.men }, self.two_first, draw_any, rng);
        let last = draw(&self.last, self.two_last, draw_frequent, rng);
        Name { first: first.shown, last: last.shown, first_ascii: first.ascii, last_ascii: last.ascii, is_womans }
    }
}

/// One word of a name, as written and in ASCII.
#[derive(Clone)]
struct Word {
    shown: String,
    ascii: String,
}

impl Word {
    fn read(text: &str) -> Self {
        let text = text.trim();
        let (shown, latin) = text.split_once('=').unwrap_or((text, text));
        let ascii = text::fold(latin).chars().filter(char::is_ascii_alphabetic).collect();
        Self { shown: shown.to_owned(), ascii }
    }

    fn name(self) -> Name {
        let Self { shown, ascii } = self;
        Name { first: shown.clone(), last: shown, first_ascii: ascii.clone(), last_ascii: ascii, is_womans: false }
    }
}

/// The percentage of users with two such names, and the separator between the two.
type SecondName = (u32, &'static str);

/// The maximum number of characters of a name.
const MAX_NAME_LENGTH: usize = 50;

fn draw(words: &[Word], (percent, joint): SecondName, one: DrawWord, rng: &mut DemoRng) -> Word {
    let word = one(words, rng);
    let second = if rng.random_ratio(percent, 100) { one(words, rng) } else { None };
    match (word, second) {
        (Some(one), Some(two)) if one.shown != two.shown => {
            let shown = format!("{}{joint}{}", one.shown, two.shown);
            if shown.chars().count() > MAX_NAME_LENGTH {
                one.clone()
            } else {
                Word { shown, ascii: format!("{}{}", one.ascii, two.ascii) }
            }
        }
        (Some(one), _) => one.clone(),
        _ => Word::read("Doe"),
    }
}

/// A function that draws a word from a list.
type DrawWord = for<'a> fn(&'a [Word], &mut DemoRng) -> Option<&'a Word>;

/// Draws a word; each is equally likely.
fn draw_any<'a>(words: &'a [Word], rng: &mut DemoRng) -> Option<&'a Word> {
    words.choose(rng)
}

/// Draws a word; the first ones are more likely: the range is random itself.
fn draw_frequent<'a>(words: &'a [Word], rng: &mut DemoRng) -> Option<&'a Word> {
    let last = rng.random_range(0..words.len().max(1));
    words.get(rng.random_range(0..=last))
}

/// The names of one culture, separated by commas; in scripts other than Latin as `name=transliteration`.
struct List {
    /// The share of users of this culture, relative to the others.
    share: u32,
    women: &'static str,
    men: &'static str,
    last: &'static str,
    two_first: SecondName,
    two_last: SecondName,
}

const LISTS: [List; 18] = [
    List {
        share: 16,
        women: "Greta,Nora,Maeve,Fiona,Alice,Ruby,Hazel,Tamsin,Bríd,Una,Imogen,Beth",
        men: "Owen,Rory,Declan,Callum,Hugh,Ewan,Jasper,Miles,Angus,Seán,Toby,Al",
        last: "Smith,Jones,Murphy,Taylor,O'Brien,Walsh,Kelly,Campbell,O’Malley,MacRae,Ashcroft,Barrow,Pemberton,Wren,E,\
            Fetherstone-Haughley,Quill,Llewelyn,Ng,Hathersage-Willoughby of Upper Addingham on Thrush",
        two_first: (30, " "),
        two_last: (6, "-"),
    },
    List {
        share: 8,
        women: "Anneliese,Jördis,Käthe,Ulrike,Frauke,Heike,Gönna,Sabine,Liesl",
        men: "Jürgen,Björn,Günther,Mathis,Sönke,Torsten,Henrik,Uwe,Veit",
        last: "Müller,Schmidt,Groß,Weiß,Köhler,Schäfer,Vogt,Jürgens,von der Heide,Strößner,Krähenbühl,zum Felde,\
            Übelacker,Donaudampfschifffahrtskapitänswitwenhausenbergerin",
        two_first: (25, "-"),
        two_last: (6, "-"),
    },
    List {
        share: 6,
        women: "Þóra,Guðrún,Åsa,Maj,Sigríður,Kjerstin,Bodil,Óla",
        men: "Søren,Þorsteinn,Åke,Håkon,Ægir,Bjørn,Leif,Mårten",
        last: "Sørensen,Åkerblom,Ødegård,Hjältén,Blöndal,Bø,Nygård,Å,Lindqvist,Thorvaldsen,Sæther,Þórsnes,Ek",
        two_first: (20, " "),
        two_last: (8, " "),
    },
    List {
        share: 8,
        women: "Zofia,Małgorzata,Łucja,Jagoda,Erzsébet,Božena,Čedomila,Ilona,Růžena",
        men: "Łukasz,Paweł,Bartłomiej,György,Zdeněk,Jiří,Đorđe,Ștefan,Gergő",
        last: "Nowak,Szabó,Kowalczyk,Wójcik,Nagy,Łuczak,Tóth,Śliwa,Kőszegi,Gołąb,Dvořáček,Țîrlea,Źrebiec,Đurić,Ö,Győri,\
            Szczebrzeszyńska-Wrzeszczykiewicz",
        two_first: (20, " "),
        two_last: (6, "-"),
    },
    List {
        share: 10,
        women: "María,Lucía,Inês,Chiara,Loïse,Aurélie,Begoña,Núria,Zoë,Françoise",
        men: "José,Étienne,Iñigo,João,Noël,Gianluca,Hervé,Martín,Jérôme,Ruy",
        last: "García,Rossi,Núñez,Lefèvre,D'Angelo,dos Santos,Gonçalves,de la Fuente,Muñoz,D’Amico,L'Hôte,Peña,Brûlé,\
            Île,Castanheira,Y",
        two_first: (35, " "),
        two_last: (40, " "),
    },
    List {
        share: 5,
        women: "Ayşe,İpek,Çiğdem,Işıl,Gülşen,Özge,Elif,Nazlı",
        men: "Gökhan,Oğuz,Barış,Ümit,Çağrı,İlker,Yiğit,Ilgaz",
        last: "Yılmaz,Kaya,Demir,Şahin,Çelik,Yıldız,Öztürk,Doğan,Işık,Kılıç,Ağaoğlu,İnce,Uçar",
        two_first: (15, " "),
        two_last: (5, " "),
    },
    List {
        share: 4,
        women: "Μαρία=Maria,Ελένη=Eleni,Σοφία=Sofia,Κατερίνα=Katerina,Δήμητρα=Dimitra,Ευθαλία=Efthalia,Χλόη=Chloi",
        men: "Γιώργος=Giorgos,Νίκος=Nikos,Στέλιος=Stelios,Θανάσης=Thanasis,Άρης=Aris,Ξενοφών=Xenofon,Φώτης=Fotis",
        last: "Βλάχος=Vlachos,Ψαράς=Psaras,Ράπτης=Raptis,Μυλωνάς=Mylonas,Σαμαράς=Samaras,Ξένος=Xenos,Γαλανός=Galanos,\
            Κεραμέας=Kerameas,Θαλασσινός=Thalassinos,Χατζηδημητρίου=Chatzidimitriou",
        two_first: (5, " "),
        two_last: (4, "-"),
    },
    List {
        share: 7,
        women: "Олена=Olena,Марія=Mariia,Ганна=Hanna,Їлена=Yilena,Светлана=Svetlana,Ирина=Irina,Цветана=Tsvetana",
        men: "Іван=Ivan,Тарас=Taras,Юрій=Yurii,Алексей=Aleksey,Пётр=Pyotr,Щербан=Shcherban,Гліб=Hlib",
        last: "Коваленко=Kovalenko,Ткаченко=Tkachenko,Мельник=Melnyk,Кравчук=Kravchuk,Гончаренко=Honcharenko,Журба=Zhurba,\
            Черных=Chernykh,Їжакевич=Yizhakevych,Дурново=Durnovo,Щур=Shchur,Цой=Tsoi,Белых=Belykh,Ґудзь=Gudz",
        two_first: (3, " "),
        two_last: (4, "-"),
    },
    List {
        share: 7,
        women: "فاطمة=Fatima,مريم=Maryam,ليلى=Layla,نور=Nour,سلمى=Salma,هدى=Huda,ياسمين=Yasmin,رانيا=Rania",
        men: "محمد=Muhammad,أحمد=Ahmad,يوسف=Yusuf,خالد=Khalid,عمر=Umar,حسن=Hasan,طارق=Tariq,زياد=Ziyad",
        last: "الحداد=Alhaddad,النجار=Annajjar,الخطيب=Alkhatib,منصور=Mansour,الشامي=Ashshami,حمدان=Hamdan,البغدادي=Albaghdadi,\
            عبد الرحمن=Abdarrahman,الطويل=Attawil,قاسم=Qasim,صباغ=Sabbagh,آل ياسين=Al Yasin",
        two_first: (12, " "),
        two_last: (8, " "),
    },
    List {
        share: 3,
        women: "נועה=Noa,תמר=Tamar,מיכל=Michal,שירה=Shira,יעל=Yael,רות=Rut",
        men: "אורי=Uri,איתן=Eitan,נדב=Nadav,יונתן=Yonatan,עמית=Amit,גיל=Gil",
        last: "כהן=Kohen,לוי=Levi,מזרחי=Mizrahi,פרץ=Peretz,ביטון=Biton,דהן=Dahan,אלמוג=Almog,שקד=Shaked,בן־דור=Ben-Dor",
        two_first: (4, " "),
        two_last: (8, "־"),
    },
    List {
        share: 8,
        women: "प्रिया=Priya,अनीता=Anita,सुनीता=Sunita,काव्या=Kavya,मीरा=Mira,श्रद्धा=Shraddha,ज्योति=Jyoti",
        men: "अंकुर=Ankur,रोहन=Rohan,विनय=Vinay,अर्णव=Arnav,कृष्ण=Krishna,संजीव=Sanjiv,हृतेश=Hritesh",
        last: "शर्मा=Sharma,वर्मा=Verma,सिंह=Singh,गुप्ता=Gupta,यादव=Yadav,मिश्र=Mishra,जोशी=Joshi,त्रिपाठी=Tripathi,चतुर्वेदी=Chaturvedi,\
            श्रीवास्तव=Shrivastava,क्षेत्री=Kshetri",
        two_first: (20, " "),
        two_last: (3, " "),
    },
    List {
        share: 3,
        women: "สุดา=Suda,มาลี=Mali,กนกวรรณ=Kanokwan,พิมพ์=Phim,ดวงใจ=Duangchai,น้ำฝน=Namfon",
        men: "สมชาย=Somchai,ประเสริฐ=Prasoet,วีระ=Wira,ธนา=Thana,อนันต์=Anan,กิตติ=Kitti",
        last: "ศรีสุข=Sisuk,ทองดี=Thongdi,แก้วใส=Kaeosai,บุญมา=Bunma,วงศ์ใหญ่=Wongyai,ใจดี=Chaidi,สุวรรณภูมิพัฒนกุล=Suwannaphumphatthanakun,\
            รุ่งเรือง=Rungrueang",
        two_first: (0, ""),
        two_last: (0, ""),
    },
    List {
        share: 12,
        women: "梅=mei,芳=fang,雪=xue,静=jing,丽=li,婷=ting,雨=yu,欣=xin,怡=yi,琳=lin",
        men: "伟=wei,强=qiang,军=jun,杰=jie,浩=hao,宇=yu,明=ming,涛=tao,文=wen,志=zhi",
        last: "王=Wang,李=Li,张=Zhang,刘=Liu,陈=Chen,杨=Yang,黄=Huang,赵=Zhao,吴=Wu,林=Lin,歐陽=Ouyang,司马=Sima,鄂=E,𠮷=Ji",
        two_first: (75, ""),
        two_last: (0, ""),
    },
    List {
        share: 5,
        women: "陽子=Yoko,さくら=Sakura,美咲=Misaki,恵=Megumi,ゆうこ=Yuko,千鶴=Chizuru,マリ=Mari",
        men: "健一=Kenichi,大樹=Daiki,翔太=Shota,清=Kiyoshi,つよし=Tsuyoshi,隆=Takashi,ケン=Ken",
        last: "佐藤=Sato,鈴木=Suzuki,高橋=Takahashi,田中=Tanaka,渡邊=Watanabe,渡辺=Watanabe,小林=Kobayashi,髙島=Takashima,五十嵐=Igarashi,\
            東海林=Shoji,井=I,勅使河原=Teshigawara",
        two_first: (0, ""),
        two_last: (0, ""),
    },
    List {
        share: 5,
        women: "민=min,서=seo,지=ji,은=eun,수=su,현=hyeon,아=a,영=yeong",
        men: "준=jun,호=ho,우=u,진=jin,성=seong,동=dong,태=tae,훈=hun",
        last: "김=Gim,이=I,박=Bak,최=Choe,정=Jeong,강=Gang,조=Jo,윤=Yun,남궁=Namgung,선우=Seonu,제갈=Jegal",
        two_first: (85, ""),
        two_last: (0, ""),
    },
    List {
        share: 7,
        women: "Thị Hồng,Ngọc,Thị Mai,Phương,Thúy,Bích,Diễm,Quỳnh",
        men: "Văn Đức,Minh,Hữu Phước,Quốc,Tuấn,Dũng,Đình,Khôi",
        last: "Nguyễn,Trần,Lê,Phạm,Huỳnh,Vũ,Đặng,Bùi,Đỗ,Hồ,Ngô,Dương,Lý,Ô,Tôn Thất",
        two_first: (45, " "),
        two_last: (5, " "),
    },
    List {
        share: 8,
        women: "Adaeze,Ọlábísí,Wanjirũ,Nomvula,Aïssatou,Fọláṣadé,Zodwa,Amina,Ngozi,Tsehay",
        men: "Chukwuemeka,Adébáyọ̀,Kwabena,Thulani,Ousmane,Ìdòwú,Kamau,Nana,Tafari,Babajídé",
        last: "Okafor,Adéyẹmí,Nkosi,Traoré,Diallo,Mwangi,Dlamini,Ọláńrewájú,Ndiaye,Agyeiwaa,O,Nwachukwu,Ng'ang'a,Kĩmani,\
            Rakotoarisoanandrianampoinimalala",
        two_first: (25, " "),
        two_last: (4, "-"),
    },
    List {
        share: 4,
        women: "Leilani,Mele,Hinemoa,Kēhau,Ataahua,Sina",
        men: "Kāwika,Tāne,Kekoa,Rāwiri,Sione,Manu",
        last: "Kealoha,Tūhoe,Kahananui,Paʻahana,Ngata-Rere,Tuiasau,Kekauʻilani,Ū",
        two_first: (20, " "),
        two_last: (5, "-"),
    },
];
