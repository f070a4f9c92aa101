//! Pictures of users: which files are accepted, how they are processed, who sees them; and requests with files.

use std::fmt::Write as _;
use std::io::Cursor;

use async_graphql::MaybeUndefined::Undefined;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use roster::entity::user::UserFields;
use roster::entity::{avatar, user};
use roster::scalar::Id;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::app::{App, Caller, PUBLIC_URL, payload_errors};
use crate::process::until;
use crate::wire::{RawClient, RawResponse, read_response, request};

const SET: &str = "mutation ($input: SetUserAvatarInput!) { setUserAvatar(input: $input) { success message errors { code path message } user { id version avatarUrl } } }";
const HEADERS: &str = "GraphQL-Require-Preflight: 1\r\nContent-Type: multipart/form-data; boundary=line\r\n";
const WHITE: Rgb<u8> = Rgb([255, 255, 255]);
const RED: Rgb<u8> = Rgb([255, 0, 0]);
const BLUE: Rgb<u8> = Rgb([0, 0, 255]);

/// Encodes an image in a format.
fn file(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    image.into().write_to(&mut file, format).unwrap();
    file.into_inner()
}

fn many_colours(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([x, y, 7].map(|value| u8::try_from(value % 256).unwrap())))
}

/// A PNG file, different for each size.
pub fn png(width: u32, height: u32) -> Vec<u8> {
    file(many_colours(width, height), ImageFormat::Png)
}

fn jpeg(width: u32, height: u32) -> Vec<u8> {
    file(many_colours(width, height), ImageFormat::Jpeg)
}

fn part(name: &str, rest: &str, content: &[u8]) -> Vec<u8> {
    let head = format!("--line\r\nContent-Disposition: form-data; name=\"{name}\"{rest}\r\n\r\n");
    [head.as_bytes(), content, b"\r\n"].concat()
}

fn operations(id: &str) -> Value {
    json!({ "query": SET, "variables": { "input": { "id": id, "avatar": null } } })
}

/// The body of a request that sets a picture.
pub fn body(id: &str, file: &[u8]) -> Vec<u8> {
    let map = json!({ "0": ["variables.input.avatar"] });
    [
        part("operations", "", operations(id).to_string().as_bytes()),
        part("map", "", map.to_string().as_bytes()),
        part("0", "; filename=\"me.html\"\r\nContent-Type: text/html", file),
        b"--line--\r\n".to_vec(),
    ]
    .concat()
}

fn bearer(caller: &Caller<'_>) -> String {
    caller.token.as_ref().map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default()
}

async fn post(caller: &Caller<'_>, headers: &str, body: &[u8]) -> RawResponse {
    RawClient(caller.app.address).send("POST", "/graphql", &format!("{headers}{}", bearer(caller)), body).await
}

/// Uploads a picture of a user; returns the response.
async fn upload(caller: &Caller<'_>, id: Id, file: &[u8]) -> Value {
    let response = post(caller, HEADERS, &body(&id.0.to_string(), file)).await;
    assert_eq!(response.status, 200, "{response:?}");
    response.json()
}

/// Uploads a picture of the caller; returns the validation errors.
async fn avatar_errors(caller: &Caller<'_>, file: &[u8]) -> Vec<String> {
    payload_errors(&upload(caller, caller.id, file).await["data"]["setUserAvatar"])
}

/// Sets a picture; returns its hash.
pub async fn set(caller: &Caller<'_>, id: Id, file: &[u8]) -> String {
    let response = upload(caller, id, file).await;
    let url = response.pointer("/data/setUserAvatar/user/avatarUrl").and_then(Value::as_str);
    let url = url.unwrap_or_else(|| panic!("{response:#}"));
    let start = format!("{PUBLIC_URL}avatars/{}?v=", id.0);
    let hash = url.strip_prefix(&start).and_then(|rest| rest.split('&').next()).unwrap_or_else(|| panic!("{url}"));
    assert!(hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{url}");
    hash.to_owned()
}

fn path(id: Id) -> String {
    format!("/avatars/{}", id.0)
}

async fn get(caller: &Caller<'_>, id: Id) -> reqwest::Response {
    let mut request = reqwest::Client::new().get(format!("{}{}?v=1", caller.app.url(), path(id)));
    if let Some(token) = &caller.token {
        request = request.bearer_auth(token);
    }
    request.send().await.unwrap()
}

/// The picture of a user as it is served: the image, its content type and its file.
async fn served(caller: &Caller<'_>, id: Id) -> (DynamicImage, String, Vec<u8>) {
    let response = get(caller, id).await;
    assert_eq!(response.status(), 200);
    let content_type = response.headers()["content-type"].to_str().unwrap().to_owned();
    let file = response.bytes().await.unwrap().to_vec();
    (image::load_from_memory(&file).unwrap(), content_type, file)
}

/// Sets the caller's picture and gets it as it is served.
async fn processed(caller: &Caller<'_>, file: &[u8]) -> (DynamicImage, String, Vec<u8>) {
    set(caller, caller.id, file).await;
    served(caller, caller.id).await
}

fn is_near(pixel: Rgb<u8>, wanted: Rgb<u8>) -> bool {
    pixel.0.iter().zip(wanted.0).all(|(one, other)| one.abs_diff(other) < 24)
}

/// A chunk of a PNG.
fn chunk(kind: [u8; 4], content: &[u8]) -> Vec<u8> {
    let named = [kind.as_slice(), content].concat();
    let crc = !named.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1)))
    });
    [&u32::try_from(content.len()).unwrap().to_be_bytes(), named.as_slice(), &crc.to_be_bytes()].concat()
}

/// A PNG with chunks inserted after its header.
fn with_chunks(png: &[u8], chunks: &[Vec<u8>]) -> Vec<u8> {
    [&png[..33], &chunks.concat(), &png[33..]].concat()
}

/// Only the header of a PNG with 8 bits per channel.
fn header(width: u32, height: u32) -> Vec<u8> {
    let head = [&width.to_be_bytes(), &height.to_be_bytes(), [8_u8, 2, 0, 0].as_slice(), &[0]].concat();
    [b"\x89PNG\r\n\x1a\n".as_slice(), &chunk(*b"IHDR", &head)].concat()
}

/// A segment of a JPEG.
fn segment(marker: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len() + 2).unwrap().to_be_bytes();
    [&[0xff, marker], length.as_slice(), content].concat()
}

/// A JPEG with Exif data: an orientation and a position.
fn with_exif(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    exif.extend(b"GPS-51.5N");
    [&jpeg[..2], &segment(0xe1, &exif), &jpeg[2..]].concat()
}

/// A CMYK JPEG of 8 by 8 pixels in one color. The values are inverted, as Adobe writes them: 0 is full ink.
fn cmyk_jpeg(inks: [i32; 4]) -> Vec<u8> {
    let mut file = vec![0xff, 0xd8];
    file.extend(segment(0xee, b"Adobe\0\x64\0\0\0\0\0"));
    file.extend(segment(0xdb, &[vec![0], vec![8; 64]].concat()));
    let components: Vec<u8> = (1..=4).flat_map(|id| [id, 0x11, 0]).collect();
    file.extend(segment(0xc0, &[vec![8, 0, 8, 0, 8, 4], components].concat()));
    // Each Huffman table has one code: differences of eight bits, and the end of a block.
    let table = |class: u8, value: u8| segment(0xc4, &[vec![class, 1], vec![0; 15], vec![value]].concat());
    file.extend(table(0x00, 8));
    file.extend(table(0x10, 0));
    file.extend(segment(0xda, &[4, 1, 0, 2, 0, 3, 0, 4, 0, 0, 63, 0]));
    let mut bits = String::new();
    for ink in inks {
        // The DC difference: eight times the mean, divided by the quantizer of eight. It always takes eight bits.
        let difference = if ink >= 128 { 255 } else { -255 };
        let coded = if difference > 0 { difference } else { difference + 255 };
        write!(bits, "0{coded:08b}0").unwrap();
    }
    for bits in bits.as_bytes().chunks(8) {
        // The last byte is padded with ones.
        let byte = (0..8).fold(0, |byte, n| byte << 1 | u8::from(bits.get(n) != Some(&b'0')));
        file.push(byte);
        if byte == 0xff {
            file.push(0);
        }
    }
    file.extend([0xff, 0xd9]);
    file
}

on_every_database! {
    async fn a_picture_is_cropped_to_a_centered_square_of_at_most_512_pixels(app: App) {
        let user = app.user().await;
        let framed = |width: u32, height: u32| RgbImage::from_fn(width, height, |x, y| {
            let side = width.min(height);
            let (left, top) = ((width - side) / 2, (height - side) / 2);
            if (left..left + side).contains(&x) && (top..top + side).contains(&y) { WHITE } else { RED }
        });
        for (width, height, side) in [(900, 600, 512), (600, 1200, 512), (512, 512, 512), (40, 30, 30), (3, 700, 3), (1, 1, 1), (10_000, 1, 1), (513, 511, 511)] {
            for (format, kind) in [(ImageFormat::Png, "image/png"), (ImageFormat::Jpeg, "image/jpeg")] {
                let (image, content_type, sent) = processed(&user, &file(framed(width, height), format)).await;
                assert_eq!((image.width(), image.height(), content_type.as_str()), (side, side, kind), "{width}x{height}");
                assert_eq!(image::guess_format(&sent).unwrap(), format);
                let image = image.to_rgb8();
                let inner = image.enumerate_pixels().filter(|(x, y, _)| (1..side - side.min(1)).contains(x) && (1..side - side.min(1)).contains(y));
                assert!(inner.clone().all(|(_, _, pixel)| is_near(*pixel, WHITE)), "{width}x{height} {kind}");
            }
        }
    }

    async fn every_pixel_format_is_accepted(app: App) {
        let user = app.user().await;
        let base = DynamicImage::ImageRgb8(RgbImage::from_pixel(20, 10, Rgb([200, 100, 50])));
        let kinds: Vec<(DynamicImage, image::ColorType)> = vec![
            (base.to_luma8().into(), image::ColorType::L8),
            (base.to_luma_alpha8().into(), image::ColorType::La8),
            (base.to_rgba8().into(), image::ColorType::Rgba8),
            (base.to_luma16().into(), image::ColorType::L8),
            (base.to_luma_alpha16().into(), image::ColorType::La8),
            (base.to_rgb16().into(), image::ColorType::Rgb8),
            (base.to_rgba16().into(), image::ColorType::Rgba8),
        ];
        for (image, kept) in kinds {
            let expected = image.to_rgb8();
            let (image, ..) = processed(&user, &file(image, ImageFormat::Png)).await;
            assert_eq!(image.color(), kept);
            assert!(is_near(*image.to_rgb8().get_pixel(5, 5), *expected.get_pixel(5, 5)), "{kept:?}");
        }
        let (image, ..) = processed(&user, &file(base.to_luma8(), ImageFormat::Jpeg)).await;
        assert_eq!(image.color(), image::ColorType::L8);
        for (inks, shown) in [([255; 4], WHITE), ([255, 0, 0, 255], RED), ([0, 0, 255, 255], BLUE), ([255, 255, 255, 0], Rgb([0; 3]))] {
            let (image, kind, _) = processed(&user, &cmyk_jpeg(inks)).await;
            assert!(is_near(*image.to_rgb8().get_pixel(4, 4), shown), "{inks:?}: {:?}", image.to_rgb8().get_pixel(4, 4));
            assert_eq!(kind, "image/jpeg");
        }
    }

    async fn pictures_are_turned_upright_and_lose_their_metadata(app: App) {
        let user = app.user().await;
        let halves = RgbImage::from_fn(64, 64, |_, y| if y < 32 { RED } else { BLUE });
        let plain = file(halves, ImageFormat::Jpeg);
        for (orientation, red, blue) in [(1, (32, 16), (32, 48)), (3, (32, 48), (32, 16)), (6, (48, 32), (16, 32)), (8, (16, 32), (48, 32))] {
            let (image, _, sent) = processed(&user, &with_exif(&plain, orientation)).await;
            let image = image.to_rgb8();
            let (at_red, at_blue) = (image.get_pixel(red.0, red.1), image.get_pixel(blue.0, blue.1));
            assert!(is_near(*at_red, RED) && is_near(*at_blue, BLUE), "{orientation}: {at_red:?} {at_blue:?}");
            assert!(!has(&sent, b"GPS") && !has(&sent, b"Exif"), "{orientation}");
        }
        let commented = with_chunks(&png(20, 20), &[chunk(*b"tEXt", b"Comment\0GPS-51.5N <script>")]);
        let (_, _, sent) = processed(&user, &commented).await;
        assert!(!has(&sent, b"GPS") && !has(&sent, b"script"));
        let (_, kind, sent) = processed(&user, &[png(21, 21).as_slice(), b"<html><script>alert(1)</script>"].concat()).await;
        assert!(kind == "image/png" && !has(&sent, b"html"));
    }

    async fn an_animation_becomes_its_first_frame(app: App) {
        let user = app.user().await;
        let still = file(RgbImage::from_pixel(8, 8, RED), ImageFormat::Png);
        let control = |sequence: u32| {
            let numbers = [sequence, 8, 8, 0, 0].map(u32::to_be_bytes).concat();
            chunk(*b"fcTL", &[numbers, vec![0, 1, 0, 10, 0, 0]].concat())
        };
        let pixels = |of: &[u8]| {
            let start = of.windows(4).position(|window| window == b"IDAT").unwrap();
            let length = u32::from_be_bytes(of[start - 4..start].try_into().unwrap()) as usize;
            of[start + 4..start + 4 + length].to_vec()
        };
        let next = pixels(&file(RgbImage::from_pixel(8, 8, BLUE), ImageFormat::Png));
        let second = [control(1), chunk(*b"fdAT", &[2_u32.to_be_bytes().to_vec(), next].concat())].concat();
        let count = [2_u32, 0].map(u32::to_be_bytes).concat();
        let start = with_chunks(&still, &[chunk(*b"acTL", &count), control(0)]);
        let (frames, end) = start.split_at(start.len() - 12);
        let (image, ..) = processed(&user, &[frames, &second, end].concat()).await;
        assert!(is_near(*image.to_rgb8().get_pixel(4, 4), RED));
    }

    async fn invalid_images_and_decompression_bombs_are_validation_errors(app: App) {
        let user = app.user().await;
        let (whole_png, whole_jpeg) = (png(300, 300), jpeg(300, 300));
        let kept = set(&user, user.id, &whole_png).await;
        let mut wrong: Vec<(String, Vec<u8>)> = [
            ("nothing", b"".as_slice()),
            ("garbage", b"\0\x01\x02\x03 secret"),
            ("SVG", br#"<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>"#),
            ("GIF", b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;"),
            ("HTML", b"<!doctype html><script>alert(1)</script>"),
            ("HTML that begins as a JPEG", b"\xff\xd8\xff<html><script>alert(1)</script></html>\xff\xd9"),
            ("HTML that begins as a PNG", b"\x89PNG\r\n\x1a\n<html><script>alert(1)</script></html>"),
            ("half of a signature", b"\x89PNG"),
            ("the start of a JPEG", b"\xff\xd8\xff"),
        ]
        .map(|(name, file)| (name.to_owned(), file.to_vec()))
        .to_vec();
        for of in [9, 20, 33, 40, whole_png.len() / 2, whole_png.len() - 20] {
            wrong.push((format!("{of} bytes of a PNG"), whole_png[..of].to_vec()));
        }
        for of in [4, 30, 200, whole_jpeg.len() / 2, whole_jpeg.len() - 2] {
            wrong.push((format!("{of} bytes of a JPEG"), whole_jpeg[..of].to_vec()));
        }
        let in_the_way = with_exif(&whole_jpeg[..whole_jpeg.len() / 2], 1);
        wrong.push(("half of a JPEG with a picture in it".to_owned(), [&in_the_way[..2], &segment(0xe2, &whole_jpeg[..300]), &in_the_way[2..]].concat()));
        wrong.push(("a PNG that says it is huge".to_owned(), [header(50_000, 50_000), chunk(*b"IDAT", &[0; 64]), chunk(*b"IEND", b"")].concat()));
        wrong.push(("a PNG that says it is endless".to_owned(), header(u32::MAX, u32::MAX)));
        wrong.push(("a PNG of no width".to_owned(), header(0, 5)));
        wrong.push(("too many pixels".to_owned(), file(image::GrayImage::new(9_000, 9_000), ImageFormat::Png)));
        wrong.push(("too long".to_owned(), file(image::GrayImage::new(10_001, 1), ImageFormat::Png)));
        let mut claiming = jpeg(16, 16);
        let size = claiming.windows(2).position(|window| window == [0xff, 0xc0]).unwrap() + 5;
        claiming[size..size + 4].copy_from_slice(&[0xff; 4]);
        wrong.push(("a JPEG that says it is huge".to_owned(), claiming));
        let scans = jpeg(16, 16);
        let (start, end) = scans.split_at(scans.windows(2).position(|window| window == [0xff, 0xda]).unwrap());
        wrong.push(("a hundred scans".to_owned(), [start, &end[..end.len() - 2].repeat(100), &[0xff, 0xd9]].concat()));
        for (name, file) in wrong {
            let response = upload(&user, user.id, &file).await;
            let payload = &response["data"]["setUserAvatar"];
            assert_eq!(payload_errors(payload), ["INVALID input.avatar"], "{name}: {response:#}");
            assert!(payload["message"].as_str().unwrap().starts_with("This "), "{name}: {response:#}");
            assert!(!response.to_string().contains("secret"), "{name}: {response:#}");
        }
        let data = user.data("{ viewer { version avatarUrl } }", json!({})).await;
        assert!(data["viewer"]["version"] == 2 && data["viewer"]["avatarUrl"].as_str().unwrap().contains(&format!("?v={kept}&")), "{data}");
        let (image, ..) = processed(&user, &file(image::GrayImage::new(6_200, 6_200), ImageFormat::Png)).await;
        assert_eq!(image.width(), 512, "a small file with the most pixels that are allowed");
    }

    async fn files_over_the_size_limit_are_rejected_with_a_response(app: App) {
        let user = app.user().await;
        let largest = |size: usize| [png(9, 9), vec![0; size]].concat();
        let own = png(9, 9).len();
        assert_eq!(avatar_errors(&user, &largest(2 * 1024 * 1024 - own)).await, [""; 0]);
        assert_eq!(avatar_errors(&user, &largest(2 * 1024 * 1024 - own + 1)).await, ["TOO_LONG input.avatar"]);
        assert_eq!(avatar_errors(&user, &largest(2 * 1024 * 1024 + 300_000)).await, ["TOO_LONG input.avatar"]);
        for size in [3_000_000, 10_000_000] {
            let body = body(&user.id(), &vec![b'x'; size]);
            let response = post(&user, HEADERS, &body).await;
            assert_eq!((response.status, response.code().as_str()), (413, "PAYLOAD_TOO_LARGE"), "{size}");
            let mut chunked = format!("POST /graphql HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n{HEADERS}{}\r\n", bearer(&user)).into_bytes();
            for part in body.chunks(0x10000) {
                chunked.extend(format!("{:x}\r\n", part.len()).into_bytes());
                chunked.extend(part);
                chunked.extend(b"\r\n");
            }
            chunked.extend(b"0\r\n\r\n");
            let response = RawClient(app.address).raw(&chunked).await;
            assert_eq!((response.status, response.code().as_str()), (413, "PAYLOAD_TOO_LARGE"), "{size} in chunks");
        }
        let announced = format!("POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n{HEADERS}{}\r\n", bearer(&user));
        assert_eq!(RawClient(app.address).raw(announced.as_bytes()).await.status, 413);
        let asked_first = format!("POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\nExpect: 100-continue\r\n{HEADERS}{}\r\n", bearer(&user));
        assert_eq!(RawClient(app.address).raw(asked_first.as_bytes()).await.status, 413);
    }

    async fn a_picture_is_sent_again_only_if_it_changed(app: App) {
        let (user, client) = (app.user().await, RawClient(app.address));
        let hash = set(&user, user.id, &png(30, 20)).await;
        let etag = format!("\"{hash}\"");
        for method in ["GET", "HEAD"] {
            let response = client.send(method, &path(user.id), &bearer(&user), b"").await;
            assert_eq!(response.status, 200, "{response:?}");
            for (name, value) in [("etag", etag.as_str()), ("content-type", "image/png"), ("cache-control", "private, no-cache"), ("vary", "Authorization"),
                ("content-disposition", "inline"), ("x-content-type-options", "nosniff"), ("content-security-policy", "default-src 'none'")] {
                assert_eq!(response.header(name), Some(value), "{method}");
            }
            assert!(response.header("content-length").unwrap().parse::<usize>().unwrap() > 60);
        }
        for known in [etag.clone(), format!("W/{etag}"), format!("\"x\", {etag}"), "*".to_owned()] {
            let response = client.send("GET", &path(user.id), &format!("If-None-Match: {known}\r\n{}", bearer(&user)), b"").await;
            assert_eq!((response.status, response.header("etag"), response.body.as_str()), (304, Some(etag.as_str()), ""), "{known}");
            assert_eq!(response.header("cache-control"), Some("private, no-cache"));
        }
        assert_ne!(set(&user, user.id, &png(31, 21)).await, hash);
        let response = client.send("GET", &path(user.id), &format!("If-None-Match: {etag}\r\n{}", bearer(&user)), b"").await;
        assert_eq!(response.status, 200);
        let response = client.send("GET", &path(user.id), &format!("If-None-Match: {etag}\r\n"), b"").await;
        assert_eq!(response.status, 401, "a cached picture must still require a token");
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            let response = client.send(method, &path(user.id), &bearer(&user), b"").await;
            assert_eq!((response.status, response.header("allow")), (405, Some("GET, HEAD")), "{method}");
        }
    }

    async fn a_picture_is_visible_to_viewers_who_see_the_user(app: App) {
        let (user, colleague, admin, license_admin, stranger, root) =
            (app.user().await, app.user().await, app.admin().await, app.license_admin().await, app.other_license_user().await, app.superuser().await);
        set(&user, user.id, &png(30, 20)).await;
        let status = async |caller: &Caller<'_>, id: Id| get(caller, id).await.status().as_u16();
        for caller in [&user, &colleague, &admin, &root] {
            assert_eq!(status(caller, user.id).await, 200);
        }
        let nothing = get(&colleague, Id::new()).await;
        assert_eq!(nothing.status(), 404);
        let nothing = nothing.text().await.unwrap();
        let garbage = reqwest::Client::new().get(format!("{}/avatars/x%00y", app.url())).bearer_auth(user.token.as_ref().unwrap());
        assert_eq!(garbage.send().await.unwrap().text().await.unwrap(), nothing);
        for (caller, id) in [(&stranger, user.id), (&user, stranger.id), (&user, colleague.id)] {
            let response = get(caller, id).await;
            assert_eq!((response.status().as_u16(), response.text().await.unwrap()), (404, nothing.clone()));
        }
        assert_eq!(status(&app.anonymous(), user.id).await, 401);
        assert_eq!(status(&Caller { token: Some("ros_nobody".to_owned()), ..user.clone() }, user.id).await, 401);

        license_admin.mutate("setActive", "", json!({ "id": user.id(), "active": false })).await;
        assert_eq!((status(&user, user.id).await, status(&colleague, user.id).await, status(&admin, user.id).await), (401, 404, 200));
        license_admin.mutate("deleteUser", "", json!({ "id": user.id() })).await;
        assert_eq!((status(&admin, user.id).await, avatar::Entity::find().count(app.db.read()).await.unwrap()), (404, 0));
    }

    async fn users_set_their_own_picture_and_administrators_that_of_others(app: App) {
        let (user, colleague, admin, license_admin, stranger) = (app.user().await, app.user().await, app.admin().await, app.license_admin().await, app.other_license_user().await);
        let code = async |caller: &Caller<'_>, id: Id, file: &[u8]| {
            let response = upload(caller, id, file).await;
            let top = response.pointer("/errors/0/extensions/code").and_then(Value::as_str).map(str::to_owned);
            top.or_else(|| payload_errors(&response["data"]["setUserAvatar"]).first().cloned()).unwrap_or_else(|| "done".to_owned())
        };
        let good = png(5, 5);
        // A missing right is reported whether the file is valid or not.
        for file in [good.as_slice(), b"garbage"] {
            assert_eq!(code(&user, colleague.id, file).await, "FORBIDDEN");
            assert_eq!(code(&admin, license_admin.id, file).await, "FORBIDDEN");
            assert_eq!(code(&stranger, user.id, file).await, "NOT_FOUND input.id");
            assert_eq!(code(&license_admin, stranger.id, file).await, "NOT_FOUND input.id");
            assert_eq!(code(&user, Id::new(), file).await, "NOT_FOUND input.id");
        }
        for (caller, id) in [(&user, user.id), (&admin, colleague.id), (&license_admin, admin.id), (&admin, admin.id), (&app.superuser().await, stranger.id)] {
            assert_eq!(code(caller, id, &good).await, "done");
        }
        let key = license_admin.mutate("createApiKey", "secret", json!({ "name": "Badges", "role": "ADMIN" })).await;
        let program = Caller { token: key["secret"].as_str().map(str::to_owned), ..license_admin.clone() };
        assert_eq!(code(&program, user.id, &png(6, 6)).await, "done");
        let response = post(&app.anonymous(), HEADERS, &body(&user.id(), &good)).await;
        assert_eq!((response.status, response.code().as_str()), (401, "UNAUTHENTICATED"));
    }

    async fn replacing_and_removing_a_picture_is_recorded(app: App) {
        let (user, admin) = (app.user().await, app.admin().await);
        let state = "{ viewer { version modifiedAt avatarUrl } }";
        let blank = user.data(state, json!({})).await;
        assert_eq!((&blank["viewer"]["version"], &blank["viewer"]["avatarUrl"]), (&json!(1), &Value::Null));
        let first = set(&user, user.id, &png(30, 20)).await;
        let one = user.data(state, json!({})).await;
        assert_eq!(set(&user, user.id, &png(30, 20)).await, first);
        assert_eq!(user.data(state, json!({})).await, one, "setting the same picture again must change nothing");
        assert_eq!(one["viewer"]["version"], 2);
        assert!(one["viewer"]["modifiedAt"].as_str() > blank["viewer"]["modifiedAt"].as_str());
        let second = set(&admin, user.id, &jpeg(30, 20)).await;
        assert_ne!(first, second);
        let removed = user.mutate("setUserAvatar", "user { version avatarUrl }", json!({ "id": user.id(), "avatar": null })).await;
        assert_eq!(removed["user"], json!({ "version": 4, "avatarUrl": null }), "{removed:#}");
        assert_eq!((get(&user, user.id).await.status().as_u16(), avatar::Entity::find().count(app.db.read()).await.unwrap()), (404, 0));
        assert_eq!(user.payload_errors("setUserAvatar", json!({ "id": user.id() })).await, ["REQUIRED input.avatar"]);
        assert_eq!(user.payload_errors("setUserAvatar", json!({ "id": "x", "avatar": null })).await, ["INVALID input.id"]);

        let events = user.data("{ auditEvents(first: 3) { nodes { action actor { id } changes { field before after } } } }", json!({})).await;
        let change = |actor: &Caller<'_>, before: Value, after: Value| json!({ "action": "USER_UPDATED", "actor": { "id": actor.id() }, "changes": [{ "field": "avatar", "before": before, "after": after }] });
        assert_eq!(events["auditEvents"]["nodes"], json!([
            change(&user, json!(second), Value::Null), change(&admin, json!(first), json!(second)), change(&user, Value::Null, json!(first)),
        ]));
    }

    async fn the_avatar_url_costs_no_statement(app: App) {
        let user = app.user().await;
        for n in 1..=5 {
            let created = app.create("Ada", app.license, UserFields::default(), Undefined).await;
            let hash = format!("{n:032x}");
            user::Entity::update_many().col_expr(user::Column::Avatar, sea_orm::sea_query::Expr::value(hash))
                .filter(user::Column::Id.eq(created.id)).exec(app.db.write()).await.unwrap();
        }
        let execute = async |query: &str| {
            let before = app.db.statements();
            let data = user.data(query, json!({})).await;
            (app.db.statements() - before, data["users"]["nodes"].as_array().unwrap().clone())
        };
        let (without, _) = execute("{ users(first: 50) { nodes { id } } }").await;
        let (with, nodes) = execute("{ users(first: 50) { nodes { avatarUrl } } }").await;
        assert_eq!((without, with), (2, 2));
        assert_eq!(nodes.iter().filter(|node| node["avatarUrl"].is_string()).count(), 5);
    }

    async fn an_uploaded_file_can_be_used_only_once(app: App) {
        let (user, license_admin) = (app.user().await, app.license_admin().await);
        let query = "mutation ($file: Upload, $a: ID!, $b: ID!) { a: setUserAvatar(input: { id: $a, avatar: $file }) { success } b: setUserAvatar(input: { id: $b, avatar: $file }) { success } }";
        let operations = json!({ "query": query, "variables": { "file": null, "a": user.id(), "b": license_admin.id() } });
        let parts = [part("operations", "", operations.to_string().as_bytes()), part("map", "", br#"{"f":["variables.file"]}"#), part("f", "", &png(5, 5)), b"--line--".to_vec()].concat();
        let response = post(&license_admin, HEADERS, &parts).await;
        assert_eq!((response.status, response.json()["data"].clone()), (200, json!({ "a": { "success": true }, "b": null })));
        assert_eq!(response.code(), "BAD_USER_INPUT");
    }
}

#[tokio::test]
async fn unfinished_uploads_of_one_user_do_not_block_others() {
    let app = App::on_sqlite().await;
    let (slow, other) = (app.user().await, app.user().await);
    let whole = request("POST", "/graphql", &format!("{HEADERS}{}", bearer(&slow)), &body(&slow.id(), &png(5, 5)));
    let (first, rest) = whole.split_at(whole.len() - 20);
    let mut halves = Vec::new();
    for _ in 0..20 {
        let mut stream = RawClient(app.address).connect().await;
        stream.write_all(first).await.unwrap();
        halves.push(stream);
    }
    // One upload, it is unknown which, waits for its rest; all others are rejected.
    let rejected = until(|| async {
        let response = post(&slow, HEADERS, &body(&slow.id(), &png(5, 5))).await;
        (response.status != 200).then_some(response)
    });
    let rejected = rejected.await.unwrap();
    assert_eq!(
        (rejected.status, rejected.code().as_str(), rejected.header("retry-after")),
        (429, "RATE_LIMITED", Some("1"))
    );
    for n in 1..4 {
        set(&other, other.id, &png(n, n)).await;
    }
    let mut statuses = Vec::new();
    for mut stream in halves {
        let _ = stream.write_all(rest).await;
        statuses.push(read_response(&mut stream, false).await.unwrap().status);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 429].contains(status)), "{statuses:?}");
    set(&slow, slow.id, &png(6, 6)).await;
}

fn has(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[tokio::test]
async fn uploads_require_a_header_that_html_forms_cannot_send() {
    let app = App::on_sqlite().await;
    let user = app.user().await;
    let body = body(&user.id(), &png(5, 5));
    let form = "Content-Type: multipart/form-data; boundary=line\r\n";
    for missing in ["", "GraphQL-Require-Preflight:\r\n", "X-Requested-With: x\r\n"] {
        let response = post(&user, &format!("{form}{missing}"), &body).await;
        assert_eq!((response.status, response.code().as_str()), (400, "BAD_REQUEST"), "{missing}");
        assert!(response.is_http_error() && response.body.contains("GraphQL-Require-Preflight"), "{}", response.body);
    }
    let apollo = ["Apollo-Require-Preflight: 1\r\n", "X-Apollo-Operation-Name: SetPicture\r\n"];
    for given in ["graphql-require-preflight: true\r\n"].into_iter().chain(apollo) {
        let response = post(&user, &format!("{form}{given}"), &body).await;
        assert_eq!(
            (response.status, &response.json()["data"]["setUserAvatar"]["success"]),
            (200, &json!(true)),
            "{given}"
        );
    }
    let twice = format!("{HEADERS}Content-Type: multipart/form-data; boundary=x\r\n");
    assert_eq!(post(&user, &twice, &body).await.status, 415);
    assert_eq!(post(&user, &format!("{HEADERS}Content-Encoding: gzip\r\n"), &body).await.status, 415);
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table with a line for each malformed request")]
async fn malformed_uploads_get_status_400_without_an_echo_of_the_input() {
    let app = App::on_sqlite().await;
    let user = app.user().await;
    let picture = png(5, 5);
    let good = operations(&user.id()).to_string();
    let with = |variables: Value| json!({ "query": SET, "variables": variables }).to_string();
    let map = r#"{"0":["variables.input.avatar"]}"#;
    let three = |operations: &str, map: &str, name: &str| {
        let end = b"--line--\r\n".to_vec();
        [part("operations", "", operations.as_bytes()), part("map", "", map.as_bytes()), part(name, "", &picture), end]
            .concat()
    };
    let end = b"--line--\r\n".to_vec();
    let (first, second, third) =
        (part("operations", "", good.as_bytes()), part("map", "", map.as_bytes()), part("0", "", &picture));
    let long = format!("{good}{}", " ".repeat(256 * 1024));
    let marked = with(json!({ "input": { "id": user.id(), "avatar": "#__graphql_file__:0" } }));
    let query = json!({ "query": "query ($input: ID) { auditEvents(filter: { subject: $input }) { totalCount } }", "variables": { "input": null } }).to_string();
    let in_list = json!([{ "query": SET, "variables": { "input": { "id": user.id(), "avatar": null } } }]).to_string();
    let table: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        ("no part", end.clone()),
        ("no end", [first.clone(), second.clone(), third.clone()].concat()),
        ("broken off", three(&good, map, "0")[..300].to_vec()),
        (
            "another line",
            String::from_utf8_lossy(&[first.clone(), second.clone(), end.clone()].concat())
                .replace("--line", "--dash")
                .into_bytes(),
        ),
        ("map first", [second.clone(), first.clone(), third.clone(), end.clone()].concat()),
        ("file before map", [first.clone(), third.clone(), second.clone(), end.clone()].concat()),
        ("no map", [first.clone(), end.clone()].concat()),
        ("no file", [first.clone(), second.clone(), end.clone()].concat()),
        ("operations twice", [first.clone(), first.clone(), second.clone(), third.clone(), end.clone()].concat()),
        ("map twice", [first.clone(), second.clone(), second.clone(), third.clone(), end.clone()].concat()),
        ("file twice", [first.clone(), second.clone(), third.clone(), third.clone(), end.clone()].concat()),
        (
            "a part too many",
            [first.clone(), second.clone(), third.clone(), part("secret", "", b"secret"), end.clone()].concat(),
        ),
        ("another file", three(&good, map, "secret")),
        (
            "a part without a name",
            [
                first.clone(),
                second.clone(),
                b"--line\r\nContent-Type: image/png\r\n\r\nsecret\r\n".to_vec(),
                end.clone(),
            ]
            .concat(),
        ),
        ("operations that are no JSON", three("secret", map, "0")),
        ("operations in a list", three(&in_list, r#"{"0":["0.variables.input.avatar"]}"#, "0")),
        ("operations that are a text", three("\"secret\"", map, "0")),
        ("operations that are too long", three(&long, map, "0")),
        ("operations with a mark", three(&marked, map, "0")),
        ("operations with U+0000", three(&with(json!({ "input": { "id": "\0", "avatar": null } })), map, "0")),
        (
            "operations in Latin-1",
            [part("operations", "", b"{\"query\":\"\xe9\"}"), second.clone(), third.clone(), end.clone()].concat(),
        ),
        ("no document", three("{}", map, "0")),
        ("a map that is no JSON", three(&good, "secret", "0")),
        ("a map that is a list", three(&good, "[\"secret\"]", "0")),
        ("a map of texts", three(&good, r#"{"0":"variables.input.avatar"}"#, "0")),
        ("a map of nothing", three(&good, r#"{"0":[]}"#, "0")),
        ("a map of two places", three(&good, r#"{"0":["variables.input.avatar","variables.input.id"]}"#, "0")),
        ("a map of two files", three(&good, r#"{"0":["variables.input.avatar"],"1":["variables.input.avatar"]}"#, "0")),
        ("a place that is a number", three(&good, r#"{"0":[1]}"#, "0")),
        ("a place beside the variables", three(&good, r#"{"0":["query"]}"#, "0")),
        ("all of the variables", three(&good, r#"{"0":["variables"]}"#, "0")),
        ("an empty place", three(&good, r#"{"0":[""]}"#, "0")),
        ("a place that is not there", three(&good, r#"{"0":["variables.input.secret"]}"#, "0")),
        ("a place that is taken", three(&good, r#"{"0":["variables.input.id"]}"#, "0")),
        ("a place in a text", three(&good, r#"{"0":["variables.input.id.0"]}"#, "0")),
        ("a place in a list that is not there", three(&good, r#"{"0":["variables.input.99999999999999999999"]}"#, "0")),
        ("a query", three(&query, r#"{"0":["variables.input"]}"#, "0")),
        (
            "a subscription",
            three(
                &with(json!({ "input": null })).replace("mutation", "subscription"),
                r#"{"0":["variables.input"]}"#,
                "0",
            ),
        ),
    ];
    for (name, body) in table {
        let response = post(&user, HEADERS, &body).await;
        let known =
            ["BAD_REQUEST", "GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED"].contains(&response.code().as_str());
        assert!(response.status == 400 && known, "{name}: {response:?}");
        assert!(
            response.is_http_error() && !response.body.contains("secret") && response.body.len() < 400,
            "{name}: {response:?}"
        );
    }
    let whole = three(&good, map, "0");
    for line in ["", "; boundary=", "; boundary=other", "; x=y", "; boundary=\"li\"", "; charset=utf-8; boundary=lin"] {
        let headers = format!("GraphQL-Require-Preflight: 1\r\nContent-Type: multipart/form-data{line}\r\n");
        let response = post(&user, &headers, &whole).await;
        assert_eq!((response.status, response.code().as_str()), (400, "BAD_REQUEST"), "{line}: {response:?}");
    }
    // Unusual but well-formed requests are accepted.
    let bare = [first.clone(), part("map", "", b"{}"), end.clone()].concat();
    let response = post(&user, HEADERS, &bare).await;
    assert_eq!(
        (response.status, &response.json()["data"]["setUserAvatar"]["success"]),
        (200, &json!(true)),
        "{response:?}"
    );
    let around = [b"preamble\r\n".to_vec(), whole.clone(), b"epilogue".to_vec()].concat();
    let response = post(
        &user,
        &HEADERS.replace("=line", "=\"line\"; charset=utf-8").replace("multipart/form", "Multipart/Form"),
        &around,
    )
    .await;
    assert_eq!(
        (response.status, &response.json()["data"]["setUserAvatar"]["success"]),
        (200, &json!(true)),
        "{response:?}"
    );
}

#[tokio::test]
async fn the_placeholder_of_a_file_is_not_accepted_as_a_file() {
    let app = App::on_sqlite().await;
    let user = app.user().await;
    for mark in [
        "\\u0023__graphql_file__:0",
        "\\u0023__graphql_file__:7",
        "\\u0023__graphql_file__:x",
        "\\u0023__graphql_file__:-1",
        "me.png",
        "",
    ] {
        let query = format!(
            "mutation {{ setUserAvatar(input: {{ id: \"{}\", avatar: \"{mark}\" }}) {{ success }} }}",
            user.id()
        );
        assert_eq!(user.error_code(&query, json!({})).await, "BAD_USER_INPUT", "{mark}");
        let query = format!(
            "mutation ($file: Upload = \"{mark}\", $id: ID!) {{ setUserAvatar(input: {{ id: $id, avatar: $file }}) {{ success }} }}"
        );
        assert_eq!(user.error_code(&query, json!({ "id": user.id() })).await, "BAD_USER_INPUT", "{mark}");
    }
    assert_eq!(
        user.error_code(
            "mutation ($file: String) { login(input: { login: $file }) { success } }",
            json!({ "file": "#__graphql_file__:0" })
        )
        .await,
        "BAD_REQUEST"
    );
}

#[tokio::test]
async fn altered_uploads_never_cause_an_internal_error() {
    let app = App::on_sqlite().await;
    let user = app.user().await;
    let mut rng = StdRng::seed_from_u64(7);
    let bodies = [
        body(&user.id(), &png(40, 30)),
        body(&user.id(), &jpeg(40, 30)),
        body(&user.id(), &with_exif(&jpeg(40, 30), 6)),
    ];
    let (mut run, mut rejected) = (0, 0);
    for n in 0..240 {
        let mut body = bodies[n % 3].clone();
        // Half of the changes are anywhere in the body, which is mostly the picture, and half in the parts before it.
        let around = if n % 2 == 0 { body.len() } else { 900 };
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..around.min(body.len()));
            match rng.random_range(0..5) {
                0 => body[at] ^= 1 << rng.random_range(0..8),
                1 => body[at] = rng.random_range(0..=255),
                2 => drop(body.drain(at..(at + rng.random_range(1..40)).min(body.len()))),
                3 => body.extend_from_within(at..(at + 200).min(body.len())),
                _ => body.insert(at, *b"\r\n-\":{}\0".get(rng.random_range(0..8)).unwrap()),
            }
        }
        let response = post(&user, HEADERS, &body).await;
        assert!([200, 400].contains(&response.status), "{n}: {response:?}");
        assert!(!response.body.contains("INTERNAL"), "{n}: {response:?}");
        if response.status == 200 { run += 1 } else { rejected += 1 }
    }
    assert!(run > 60 && rejected > 40, "{run} run, {rejected} rejected");
    let response = upload(&user, user.id, &png(41, 41)).await;
    assert_eq!(response["data"]["setUserAvatar"]["success"], json!(true));
}
