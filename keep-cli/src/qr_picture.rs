//! Reading QR codes from pictures: screenshots and saved codes as PNG, photographs as JPEG.

use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::path::Path;

use keep_sdk::{DisplayText, ErrorCode, Fault};
use png::{ColorType, Decoder, Limits, Transformations};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::output::contained;
use crate::secrets::unreadable;

/// The largest picture, in bytes of its file and of its decoded form.
const MAX_FILE: u64 = 32 << 20;
const MAX_DECODED: usize = 64 << 20;
/// Pixels beyond which nothing is looked for: a code on a screen needs far fewer, a photograph has these.
const MAX_PIXELS: usize = 16_000_000;
/// How far a picture is softened where nothing is found in it, in pixels.
const MOST_SOFTENED: usize = 2;
/// How every JPEG begins (ITU-T T.81, B.1.1.3: start of image, and the next marker).
const JPEG: [u8; 3] = [0xff, 0xd8, 0xff];

/// A picture in shades of grey.
struct Grey {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

/// What the one QR code in this picture says that begins with `scheme`.
///
/// # Errors
/// [`ErrorCode::NotFound`] without such a file; [`ErrorCode::InvalidInput`] when it is no PNG or JPEG, or does not have exactly one.
pub fn read(path: &Path, scheme: &str) -> Result<String, Fault> {
    let shown = DisplayText::truncated(&path.display().to_string(), 200);
    let file = File::open(path).map_err(|error| unreadable(shown.as_str(), &error))?;
    // A reader of pictures may trip over what was made for that.
    let decoded = contained(|| decode(BufReader::new(file).take(MAX_FILE)));
    let picture = decoded.unwrap_or_else(|| Err("it is damaged".to_owned())).map_err(|why| {
        Fault::new(ErrorCode::InvalidInput, format!("{shown} is no picture that can be read: {why}"))
            .with_hint(
                "save the code as PNG (a screenshot) or JPEG (a photograph); or paste its text instead",
            )
    })?;
    // The search asserts what the corners of a picture need not keep, and anybody may have made the picture.
    let mut codes = contained(|| codes(&picture)).ok_or_else(|| {
        Fault::new(ErrorCode::InvalidInput, format!("what looks like a QR code in {shown} cannot be read"))
            .with_hint("save the code again as it is on the screen; or paste its text instead")
    })?;
    codes.retain(|text| text.starts_with(scheme));
    codes.sort();
    codes.dedup();
    match codes.len() {
        1 => Ok(codes.remove(0)),
        0 => Err(Fault::new(
            ErrorCode::InvalidInput,
            format!("in {shown} no QR code is found that says {scheme}…"),
        )
        .with_hint(
            "the whole code must be in the picture, sharp, with its white border; or paste its text instead",
        )),
        more => Err(Fault::new(ErrorCode::InvalidInput, format!("in {shown} are {more} such QR codes"))
            .with_hint("cut the picture so that one is left")),
    }
}

fn decode(from: impl Read) -> Result<Grey, String> {
    let mut bytes = Vec::new();
    { from }.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.starts_with(&JPEG) { decode_jpeg(&bytes) } else { decode_png(&bytes) }
}

fn decode_jpeg(bytes: &[u8]) -> Result<Grey, String> {
    let options = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::Luma);
    let mut decoder = JpegDecoder::new_with_options(Cursor::new(bytes), options);
    decoder.decode_headers().map_err(|error| error.to_string())?;
    let (width, height) = decoder.dimensions().ok_or("it has no size")?;
    check_size(width, height)?;
    let pixels = decoder.decode().map_err(|error| error.to_string())?;
    Ok(Grey { width, height, pixels })
}

fn decode_png(bytes: &[u8]) -> Result<Grey, String> {
    let limits = Limits { bytes: MAX_DECODED };
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), limits);
    decoder.set_transformations(Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(|error| error.to_string())?;
    let (width, height) = (reader.info().width as usize, reader.info().height as usize);
    check_size(width, height)?;
    let size = reader.output_buffer_size().filter(|size| *size <= MAX_DECODED).ok_or("it is too large")?;
    let mut raw = vec![0; size];
    let frame = reader.next_frame(&mut raw).map_err(|error| error.to_string())?;
    let samples = raw.get(..frame.buffer_size()).ok_or("it is cut")?;
    let pixels = match frame.color_type {
        ColorType::Grayscale => samples.to_vec(),
        ColorType::GrayscaleAlpha => samples.chunks_exact(2).map(|p| on_white(p[0], p[1])).collect(),
        ColorType::Rgb => samples.chunks_exact(3).map(|p| grey(p[0], p[1], p[2])).collect(),
        ColorType::Rgba => samples.chunks_exact(4).map(|p| on_white(grey(p[0], p[1], p[2]), p[3])).collect(),
        ColorType::Indexed => return Err("its colours cannot be read".to_owned()),
    };
    Ok(Grey { width, height, pixels })
}

fn check_size(width: usize, height: usize) -> Result<(), String> {
    if width.saturating_mul(height) > MAX_PIXELS {
        return Err(format!("{width} × {height} pixels are too many"));
    }
    Ok(())
}

/// How bright a colour is (ITU-R BT.601).
fn grey(red: u8, green: u8, blue: u8) -> u8 {
    let sum = 299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue);
    u8::try_from(sum / 1000).unwrap_or(u8::MAX)
}

/// What can be seen through is on white, as a browser shows it.
fn on_white(bright: u8, alpha: u8) -> u8 {
    let (bright, alpha) = (u32::from(bright), u32::from(alpha));
    u8::try_from((bright * alpha + 255 * (255 - alpha)) / 255).unwrap_or(u8::MAX)
}

impl Grey {
    /// Each pixel as the mean of those at most `reach` away: noise and ragged edges hide codes from the search.
    fn softened(&self, reach: usize) -> Self {
        let Self { width, height, pixels } = self;
        let mean = |x: usize, y: usize| {
            let columns = x.saturating_sub(reach)..(x + reach + 1).min(*width);
            let rows = y.saturating_sub(reach)..(y + reach + 1).min(*height);
            let around = rows.flat_map(|y| pixels.get(y * width + columns.start..y * width + columns.end));
            let (sum, count) =
                around.flatten().fold((0, 0), |(sum, count), p| (sum + u32::from(*p), count + 1));
            u8::try_from(sum / count.max(1)).unwrap_or(u8::MAX)
        };
        let places = (0..*height).flat_map(|y| (0..*width).map(move |x| (x, y)));
        Self { width: *width, height: *height, pixels: places.map(|(x, y)| mean(x, y)).collect() }
    }
}

/// Every code that can be read in the picture as it is, or softened if there is none.
fn codes(picture: &Grey) -> Vec<String> {
    let found = codes_as_it_is(picture);
    if !found.is_empty() {
        return found;
    }
    let mut softened = (1..=MOST_SOFTENED).map(|reach| codes_as_it_is(&picture.softened(reach)));
    softened.find(|found| !found.is_empty()).unwrap_or_default()
}

/// Every code that can be read, also where the screen is dark and the code is light on it.
fn codes_as_it_is(picture: &Grey) -> Vec<String> {
    let look = |turned: u8| {
        let at = |x: usize, y: usize| {
            picture.pixels.get(y * picture.width + x).map_or(u8::MAX, |pixel| pixel ^ turned)
        };
        let mut prepared = rqrr::PreparedImage::prepare_from_greyscale(picture.width, picture.height, at);
        let grids = prepared.detect_grids();
        grids.into_iter().filter_map(|grid| grid.decode().ok()).map(|(_, text)| text).collect::<Vec<_>>()
    };
    let found = look(0);
    if found.is_empty() { look(u8::MAX) } else { found }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "nostrconnect://b889ff5b1513b641e2a139f661a661364979c5beee91842f8f0ef42ab558e9d4?relay=wss%3A%2F%2Frelay.example.com&secret=0s8j2djs&perms=nip44_encrypt%2Csign_event%3A1&name=App";

    /// A picture of these texts, one beside the other: `scale` pixels for each module, in two colours.
    fn picture(texts: &[&str], scale: usize, dark: [u8; 4], light: [u8; 4]) -> Vec<u8> {
        let codes: Vec<_> = texts.iter().map(|text| qrcode::QrCode::new(text).unwrap()).collect();
        let side = codes.iter().map(|code| code.width() + 8).max().unwrap();
        let (width, height) = (side * scale * codes.len(), side * scale);
        let mut pixels = Vec::new();
        for y in 0..height {
            for x in 0..width {
                let code = &codes[x / (side * scale)];
                let (column, row) = (x % (side * scale) / scale, y / scale);
                let inside = |at: usize| at >= 4 && at < 4 + code.width();
                let is_dark =
                    inside(column) && inside(row) && code[(column - 4, row - 4)] == qrcode::Color::Dark;
                pixels.extend(if is_dark { dark } else { light });
            }
        }
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
        encoder.set_color(ColorType::Rgba);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
        bytes
    }

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    const BLACK: [u8; 4] = [0, 0, 0, 255];
    const WHITE: [u8; 4] = [255; 4];

    /// Taken askew from a screen, with noise and uneven light.
    const PHOTOGRAPH: &[u8] = include_bytes!("../tests/fixtures/code.jpg");

    #[test]
    fn a_photograph_is_read() {
        assert_eq!(read(file(PHOTOGRAPH).path(), "nostrconnect://").unwrap(), TEXT);
        for cut in [4, 200, PHOTOGRAPH.len() / 4] {
            let refused = read(file(&PHOTOGRAPH[..cut]).path(), "nostrconnect://").unwrap_err();
            assert_eq!(refused.code(), ErrorCode::InvalidInput, "{cut}: {refused}");
        }
    }

    #[test]
    fn a_photograph_that_claims_to_be_huge_is_refused_before_it_is_decoded() {
        let mut huge = PHOTOGRAPH.to_vec();
        // Height and width stand behind the marker of the frame, its length and its precision.
        let frame = huge.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap() + 5;
        huge[frame..frame + 4].copy_from_slice(&[0x3f, 0xff, 0x3f, 0xff]);
        let refused = read(file(&huge).path(), "nostrconnect://").unwrap_err();
        assert!(refused.message().contains("16383 × 16383 pixels are too many"), "{refused}");
    }

    #[test]
    fn a_code_is_read_in_every_size_and_colour() {
        for (scale, dark, light) in [
            (2, BLACK, WHITE),
            (7, [20, 20, 90, 255], [240, 230, 220, 255]),
            (4, BLACK, [0, 0, 0, 0]),
            (4, WHITE, [10, 10, 10, 255]),
        ] {
            let picture = file(&picture(&[TEXT], scale, dark, light));
            assert_eq!(read(picture.path(), "nostrconnect://").unwrap(), TEXT, "{scale} {dark:?} {light:?}");
        }
    }

    #[test]
    fn other_codes_do_not_matter_and_two_are_one_too_many() {
        let both = file(&picture(&["https://example.com", TEXT], 4, BLACK, WHITE));
        assert_eq!(read(both.path(), "nostrconnect://").unwrap(), TEXT);
        let other = TEXT.replace("0s8j", "1s8j");
        let two = file(&picture(&[TEXT, &other], 4, BLACK, WHITE));
        assert!(read(two.path(), "nostrconnect://").unwrap_err().message().contains("2 such QR codes"));
        let none = file(&picture(&["https://example.com"], 4, BLACK, WHITE));
        assert_eq!(read(none.path(), "nostrconnect://").unwrap_err().code(), ErrorCode::InvalidInput);
    }

    #[test]
    fn what_is_no_picture_is_said_to_be_none() {
        let whole = picture(&[TEXT], 3, BLACK, WHITE);
        for bytes in [b"".as_slice(), b"GIF89a", &whole[..whole.len() / 2], &whole[..40]] {
            assert_eq!(
                read(file(bytes).path(), "nostrconnect://").unwrap_err().code(),
                ErrorCode::InvalidInput
            );
        }
        let missing = Path::new("/nowhere/code.png");
        assert_eq!(read(missing, "nostrconnect://").unwrap_err().code(), ErrorCode::NotFound);
    }

    /// A picture in grey with these dimensions.
    fn grey_picture(width: u32, height: u32, pixels: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.write_header().unwrap().write_image_data(pixels).unwrap();
        bytes
    }

    #[test]
    fn garbage_and_hugeness_are_refused() {
        let huge = grey_picture(4_001, 4_000, &vec![255; 4_001 * 4_000]);
        let refused = read(file(&huge).path(), "nostrconnect://").unwrap_err();
        assert_eq!(refused.code(), ErrorCode::InvalidInput);
        assert!(refused.message().contains("too many"), "{refused}");
        let mut state = 7_u32;
        for side in [1, 21, 64, 300] {
            let noise = std::iter::repeat_with(|| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if state >> 31 == 0 { 0 } else { 255 }
            });
            let noise: Vec<u8> = noise.take(side * side).collect();
            let garbage = grey_picture(side as u32, side as u32, &noise);
            let refused = read(file(&garbage).path(), "nostrconnect://").unwrap_err();
            assert_eq!(refused.code(), ErrorCode::InvalidInput, "{side}: {refused}");
        }
    }

    #[test]
    fn a_search_that_gives_up_in_the_middle_finds_nothing() {
        assert_eq!(contained(|| 1), Some(1));
        assert_eq!(contained(|| -> u8 { panic!("as on a picture made for it") }), None);
    }
}
