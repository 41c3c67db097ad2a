//! Reads a note out of a body: JSON, a URL-encoded form, or a multipart form with files.

use axum::body::Body;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::problem::Problem;
use crate::spool::hex;
use crate::store::files::{KEPT_BYTES, NewFile};
use crate::store::notes::NewNote;

const EXPECTED: &str = "application/json, multipart/form-data or application/x-www-form-urlencoded";

#[derive(Debug, Deserialize)]
struct Fields {
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    author: Option<String>,
}

/// Reads a note by the request's content type.
///
/// # Errors
/// A [`Problem`] that says what is wrong with the body.
pub(crate) async fn note_of(headers: &HeaderMap, body: Body) -> Result<NewNote, Problem> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let note = match essence.as_str() {
        "application/json" => {
            let bytes = whole(body).await?;
            let fields: Fields = serde_json::from_slice(&bytes).map_err(|error| {
                if error.is_data() {
                    Problem::TextMissing(format!("The JSON does not fit: {error}."))
                } else {
                    malformed("JSON", &error)
                }
            })?;
            note_from(fields)
        }
        "application/x-www-form-urlencoded" => {
            let bytes = whole(body).await?;
            note_from(serde_urlencoded::from_bytes(&bytes).map_err(|error| malformed("a form", &error))?)
        }
        "multipart/form-data" => multipart(content_type, body).await?,
        _ => {
            return Err(Problem::MediaTypeUnsupported { expected: EXPECTED, given: content_type.to_owned() });
        }
    };
    if note.text.trim().is_empty() {
        return Err(Problem::TextMissing("It was missing or empty.".to_owned()));
    }
    Ok(note)
}

fn note_from(fields: Fields) -> NewNote {
    NewNote { text: fields.text.unwrap_or_default(), author: fields.author, attachments: Vec::new() }
}

async fn multipart(content_type: &str, body: Body) -> Result<NewNote, Problem> {
    const FORM: &str = "multipart/form-data";
    let boundary = multer::parse_boundary(content_type).map_err(|error| malformed(FORM, &error))?;
    let mut form = multer::Multipart::new(body.into_data_stream(), boundary);
    let mut note = NewNote { text: String::new(), author: None, attachments: Vec::new() };
    while let Some(field) = form.next_field().await.map_err(|error| malformed(FORM, &error))? {
        let name = field.name().unwrap_or_default().to_owned();
        if let Some(file_name) = field.file_name().map(str::to_owned) {
            // What a browser sends for a file input that was left alone: no name and no bytes.
            let file = file(field, name, file_name).await?;
            if file.size > 0 || !file.name.is_empty() {
                note.attachments.push(file);
            }
        } else {
            let value = field.text().await.map_err(|error| malformed(FORM, &error))?;
            match name.as_str() {
                "text" => note.text = value,
                "author" => note.author = Some(value),
                _ => {}
            }
        }
    }
    Ok(note)
}

async fn file(mut field: multer::Field<'_>, form_field: String, name: String) -> Result<NewFile, Problem> {
    let content_type = field.content_type().map_or_else(|| "application/octet-stream".to_owned(), ToString::to_string);
    let mut hasher = Sha256::new();
    let mut size = 0_u32;
    let mut bytes = Some(Vec::new());
    while let Some(chunk) = field.chunk().await.map_err(|error| malformed("multipart/form-data", &error))? {
        hasher.update(&chunk);
        // Within the limit that the whole body kept.
        size = size.saturating_add(u32::try_from(chunk.len()).unwrap_or(u32::MAX));
        if size > KEPT_BYTES {
            bytes = None;
        }
        if let Some(bytes) = &mut bytes {
            bytes.extend_from_slice(&chunk);
        }
    }
    Ok(NewFile { field: form_field, name, content_type, size, sha256: hex(&hasher.finalize()), bytes })
}

/// The whole body in memory.
///
/// # Errors
/// [`Problem::BodyMalformed`]; the bytes are here already, so only a failing disk brings it.
pub(crate) async fn whole(body: Body) -> Result<bytes::Bytes, Problem> {
    axum::body::to_bytes(body, usize::MAX).await.map_err(|error| malformed("bytes", &error))
}

fn malformed(expected: &'static str, reason: &dyn std::error::Error) -> Problem {
    Problem::BodyMalformed { expected, reason: reason.to_string() }
}
