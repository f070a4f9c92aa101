//! Image processing: decodes an uploaded file within limits, scales it down, crops it to the square in its center, applies the
//! orientation of the camera, and encodes it anew, so that nothing of the file is left but what it shows.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::imageops::FilterType;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, ImageResult, Limits};

use super::Picture;
use crate::entity::avatar::ContentType;

/// The maximum side of a stored picture, in pixels.
const MAX_STORED_SIDE: u32 = 512;
/// The maximum length of each side of an uploaded picture, in pixels.
const MAX_SIDE_LENGTH: u32 = 10_000;
/// The maximum number of pixels of an uploaded picture.
const MAX_PIXELS: u64 = 40_000_000;
/// The maximum number of bytes that a decoder may use for pixels.
const MAX_BYTES: u64 = 256 * 1024 * 1024;
/// The maximum number of scans in a JPEG. Each is a pass over the whole picture, however few bytes it has.
const MAX_SCANS: usize = 32;
/// The quality of an encoded JPEG, of 100.
const QUALITY: u8 = 85;

const UNKNOWN_FORMAT: &str = "This is not a PNG or JPEG picture.";
const BROKEN: &str = "This picture is damaged or incomplete.";
const TOO_LARGE: &str =
    "This picture has too many pixels: at most 10,000 on each side and 40 million in total are allowed.";

/// Converts a file into a picture. The format follows from the content, not from the name.
///
/// # Errors
/// The reason, as a message for users.
pub(super) fn process(file: &[u8]) -> Result<Picture, &'static str> {
    let (format, content_type) = if file.starts_with(b"\x89PNG\r\n\x1a\n") {
        (ImageFormat::Png, ContentType::Png)
    } else if file.starts_with(&[0xff, 0xd8, 0xff]) {
        check_jpeg(file)?;
        (ImageFormat::Jpeg, ContentType::Jpeg)
    } else {
        return Err(UNKNOWN_FORMAT);
    };
    let (image, orientation) = decode(file, format)?;
    let mut image = square(image);
    image.apply_orientation(orientation);
    let content = encode(&convert_to_eight_bits(image), content_type).map_err(|error| {
        tracing::error!(%error, "failed to encode an image");
        BROKEN
    })?;
    Ok(Picture { content_type, content })
}

/// Converts a file into a picture, as [`process`]. A picture that was exported stays as it is: converting a JPEG again would change
/// it.
///
/// # Errors
/// The reason, as a message for users.
pub(super) fn restore(file: &[u8]) -> Result<Picture, &'static str> {
    let picture = process(file)?;
    let is_stored_form = picture.content_type == ContentType::Jpeg && is_bare_jpeg(file) && is_small_square(file);
    Ok(if is_stored_form { Picture { content: file.to_vec(), ..picture } } else { picture })
}

fn is_small_square(file: &[u8]) -> bool {
    let size = ImageReader::with_format(Cursor::new(file), ImageFormat::Jpeg).into_dimensions();
    size.is_ok_and(|(width, height)| width == height && width <= MAX_STORED_SIDE)
}

/// Returns whether a JPEG has one scan, and nothing that does not belong to its pixels.
fn is_bare_jpeg(file: &[u8]) -> bool {
    let mut rest = file.get(2..).unwrap_or_default();
    loop {
        rest = match rest {
            [0xff, 0xda, ..] => return is_one_scan(rest.get(2..).unwrap_or_default()),
            // The header of JFIF without a thumbnail.
            [0xff, 0xe0, 0, 16, ..] => rest.get(18..).unwrap_or_default(),
            [0xff, 0xc0 | 0xc4 | 0xdb | 0xdd, high, low, ..] => {
                rest.get(2 + usize::from(u16::from_be_bytes([*high, *low]))..).unwrap_or_default()
            }
            _ => return false,
        };
    }
}

/// Returns whether only the end of the file follows the encoded data of a scan.
fn is_one_scan(scan: &[u8]) -> bool {
    let Some(data) = scan.strip_suffix(&[0xff, 0xd9]) else { return false };
    let mut marks = data.windows(2).filter(|pair| pair.first() == Some(&0xff));
    data.last() != Some(&0xff) && marks.all(|pair| matches!(pair, [_, 0x00 | 0xd0..=0xd7]))
}

fn decode(file: &[u8], format: ImageFormat) -> Result<(DynamicImage, Orientation), &'static str> {
    let broken = |error: image::ImageError| match error {
        image::ImageError::Limits(_) => TOO_LARGE,
        error => {
            tracing::debug!(%error, "failed to decode an image");
            BROKEN
        }
    };
    let mut limits = Limits::no_limits();
    limits.max_image_width = Some(MAX_SIDE_LENGTH);
    limits.max_image_height = Some(MAX_SIDE_LENGTH);
    limits.max_alloc = Some(MAX_BYTES);
    let mut reader = ImageReader::with_format(Cursor::new(file), format);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(broken)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS || decoder.total_bytes() > MAX_BYTES {
        return Err(TOO_LARGE);
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    Ok((DynamicImage::from_decoder(decoder).map_err(broken)?, orientation))
}

/// Scales and crops to the square in the center, at most [`MAX_STORED_SIDE`] pixels wide and never enlarged. Scales before it crops,
/// so that nothing of the full size is copied.
fn square(image: DynamicImage) -> DynamicImage {
    let (width, height) = (image.width(), image.height());
    let (shorter, side) = (width.min(height), width.min(height).min(MAX_STORED_SIDE));
    let scaled = |length: u32| {
        let length = (u64::from(length) * u64::from(side)).div_ceil(u64::from(shorter.max(1)));
        u32::try_from(length).unwrap_or(side)
    };
    let image =
        if side < shorter { image.resize_exact(scaled(width), scaled(height), FilterType::Triangle) } else { image };
    let (left, top) = ((image.width() - side) / 2, (image.height() - side) / 2);
    image.crop_imm(left, top, side, side)
}

/// Converts to eight bits for each channel. Gray stays gray.
fn convert_to_eight_bits(image: DynamicImage) -> DynamicImage {
    let color = image.color();
    match (color.has_color(), color.has_alpha()) {
        (false, false) => DynamicImage::ImageLuma8(image.into_luma8()),
        (false, true) => DynamicImage::ImageLumaA8(image.into_luma_alpha8()),
        (true, false) => DynamicImage::ImageRgb8(image.into_rgb8()),
        (true, true) => DynamicImage::ImageRgba8(image.into_rgba8()),
    }
}

fn encode(image: &DynamicImage, content_type: ContentType) -> ImageResult<Vec<u8>> {
    let mut content = Vec::new();
    match content_type {
        ContentType::Png => image.write_with_encoder(PngEncoder::new(&mut content))?,
        ContentType::Jpeg => image.write_with_encoder(JpegEncoder::new_with_quality(&mut content, QUALITY))?,
    }
    Ok(content)
}

/// Checks that a JPEG has an end and not too many scans. The decoder would fill missing parts with gray.
fn check_jpeg(file: &[u8]) -> Result<(), &'static str> {
    let mut rest = file.get(2..).ok_or(BROKEN)?;
    let mut scans = 0;
    loop {
        rest = match rest {
            [0xff, 0xd9, ..] => return if scans > 0 { Ok(()) } else { Err(BROKEN) },
            [0xff, 0xff, ..] => rest.get(1..),
            // Encoded data has no segments: this is an escaped 0xff, or a marker at which decoding may restart.
            [0xff, 0x00 | 0xd0..=0xd7, ..] if scans > 0 => rest.get(2..),
            [0xff, marker, high, low, ..] => {
                scans += usize::from(*marker == 0xda);
                rest.get(2 + usize::from(u16::from_be_bytes([*high, *low]))..)
            }
            [0xff, ..] => None,
            [_, ..] if scans > 0 => rest.iter().position(|byte| *byte == 0xff).and_then(|next| rest.get(next..)),
            _ => None,
        }
        .ok_or(BROKEN)?;
        if scans > MAX_SCANS {
            return Err(BROKEN);
        }
    }
}
