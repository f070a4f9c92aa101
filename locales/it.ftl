### Ciò che viene detto alle persone, in italiano.

## Messaggi di posta. Ogni messaggio è un genere di lettera, ogni attributo una sua parte.

mail =
    .greeting = Buongiorno,
    .greeting-by-name = Buongiorno {$name},
    .lives = Il link funziona una sola volta ed è valido per {$unit ->
        [minutes] {$count ->
            [one] 1 minuto
           *[other] {$count} minuti
        }
        [hours] {$count ->
            [one] 1 ora
           *[other] {$count} ore
        }
       *[days] {$count ->
            [one] 1 giorno
           *[other] {$count} giorni
        }
    }.
    .regards = Cordiali saluti

invitation =
    .subject = {$organisation}: il Suo account nell’elenco degli utenti
    .reason = Un amministratore dell’organizzazione «{$organisation}» ha creato un account a Suo nome nell’elenco degli utenti. Per utilizzarlo, scelga una password.
    .action = Scegliere una password
    .otherwise = Se non conosce questa organizzazione, ignori questo messaggio: senza password nessuno può utilizzare l’account.

registration =
    .subject = {$organisation}: la Sua registrazione
    .reason = Qualcuno, probabilmente Lei, desidera registrarsi con questo indirizzo e-mail nell’elenco degli utenti dell’organizzazione «{$organisation}». Per completare la registrazione, scelga una password.
    .action = Scegliere una password
    .otherwise = Se la richiesta non proviene da Lei, ignori questo messaggio: senza questo link non viene aperto alcun account.

address-taken =
    .subject = Questo indirizzo e-mail appartiene già al Suo account
    .reason = Qualcuno, probabilmente Lei, ha chiesto di registrarsi con questo indirizzo e-mail nell’elenco degli utenti dell’organizzazione «{$organisation}», o di adottarlo come nuovo indirizzo. L’indirizzo appartiene già al Suo account e nulla è stato modificato.
    .otherwise = Se ha smarrito la password, ne richieda una nuova dalla pagina di accesso. Se la richiesta non proviene da Lei, non deve fare nulla.

password-reset =
    .subject = Scelga una nuova password
    .reason = Qualcuno, probabilmente Lei, ha chiesto una nuova password per il Suo account nell’elenco degli utenti dell’organizzazione «{$organisation}». Non appena l’avrà scelta, tutte le Sue sessioni termineranno; acceda poi con la nuova password.
    .action = Scegliere una nuova password
    .otherwise = Se la richiesta non proviene da Lei, ignori questo messaggio: la Sua password resta invariata.

email-confirmation =
    .subject = Confermi questo indirizzo e-mail
    .reason = Qualcuno, probabilmente Lei, desidera utilizzare questo indirizzo e-mail per un account nell’elenco degli utenti dell’organizzazione «{$organisation}». Non appena l’avrà confermato, sostituirà l’indirizzo attuale dell’account.
    .action = Confermare questo indirizzo
    .otherwise = Se la richiesta non proviene da Lei, ignori questo messaggio: l’account mantiene il suo indirizzo attuale.

email-change-requested =
    .subject = Il Suo indirizzo e-mail sta per cambiare
    .reason = Qualcuno, probabilmente Lei, desidera sostituire questo indirizzo e-mail con un altro per il Suo account nell’elenco degli utenti dell’organizzazione «{$organisation}». La modifica avverrà non appena il nuovo indirizzo sarà confermato.
    .otherwise = Se la richiesta non proviene da Lei, cambi subito la password: in questo modo impedisce la modifica. Avvisi poi un amministratore.

password-changed =
    .subject = La Sua password è stata modificata
    .reason = La password del Suo account nell’elenco degli utenti dell’organizzazione «{$organisation}» è stata modificata o rimossa.
    .otherwise = Se non ne è al corrente, richieda subito una nuova password dalla pagina di accesso e avvisi un amministratore.

pin-changed =
    .subject = Il Suo PIN è stato modificato
    .reason = Il PIN del Suo account nell’elenco degli utenti dell’organizzazione «{$organisation}» è stato impostato, modificato o rimosso.
    .otherwise = Se non ne è al corrente, cambi subito la password e avvisi un amministratore.

email-changed =
    .subject = Il Suo indirizzo e-mail è stato modificato
    .reason = L’indirizzo e-mail del Suo account nell’elenco degli utenti dell’organizzazione «{$organisation}» è stato modificato o rimosso. D’ora in poi i messaggi relativi a questo account non arriveranno più qui.
    .otherwise = Se non ne è al corrente, avvisi subito un amministratore.

## Pagine a cui conducono i link.

activate =
    .title = Scelga una password
    .done = La Sua password è stata impostata. D’ora in poi acceda con questa.
    .login = Acceda come
    .expired = Questo link non è più valido: è già stato utilizzato, è troppo vecchio o è stato sostituito da uno più recente. Ne chieda un altro a un amministratore oppure si registri di nuovo.
    .taken = Questo indirizzo e‑mail appartiene nel frattempo a un altro account. Nessun account è stato aperto.

reset =
    .title = Scelga una nuova password
    .done = La Sua nuova password è stata impostata e tutte le Sue sessioni sono terminate. D’ora in poi acceda con questa.
    .expired = Questo link non è più valido: è già stato utilizzato, è troppo vecchio o è stato sostituito da uno più recente. Ne richieda un altro dalla pagina di accesso.

confirm-email =
    .title = Confermi il Suo indirizzo e‑mail
    .reason = Non appena l’avrà confermato, l’indirizzo a cui è stato inviato il link sostituirà l’indirizzo attuale del Suo account.
    .submit = Confermare l’indirizzo
    .done = Il Suo indirizzo e‑mail è confermato e d’ora in poi appartiene al Suo account.
    .expired = Questo link non è più valido: è già stato utilizzato, è troppo vecchio o è stato sostituito da uno più recente. Chieda di nuovo la modifica.
    .taken = Questo indirizzo e‑mail appartiene nel frattempo a un altro account. Nulla è stato modificato.

password =
    .label = Nuova password
    .again = La stessa password ancora una volta
    .length = Almeno {$shortest} e al massimo {$longest} caratteri
    .guess = Difficile da indovinare: alcune parole senza alcun nesso tra loro
    .own = Né il Suo nome né il Suo indirizzo
    .submit = Impostare la password
    .too-short = La password deve avere almeno {$shortest} caratteri.
    .too-long = La password può avere al massimo {$longest} caratteri.
    .easy = Questa password è facile da indovinare. Utilizzi alcune parole senza alcun nesso tra loro.
    .different = Le due password non coincidono.

page =
    .script = Questa pagina richiede JavaScript, affinché il segreto del link lasci il Suo browser solo al momento voluto.
    .incomplete = Manca la fine del link. Lo apra esattamente come figura nel messaggio.
    .sending = Un momento, prego.
    .sign-in = Accedere
    .busy = In questo momento ci sono troppi tentativi. Attenda un poco, poi riprovi.
    .unreachable = In questo momento l’elenco non è raggiungibile. Verifichi la connessione, poi riprovi.
    .failed = L’operazione non è riuscita. Riprovi più tardi; se il problema persiste, avvisi un amministratore.
