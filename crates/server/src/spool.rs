//! Reads a request's body to its end once, hashing it, so that it can be judged before it is handled.
//!
//! The first mebibyte stays in memory, the rest goes to an unnamed temporary file; a spool of any size
//! costs little memory. It is read again as a body, any number of bytes later, exactly as it came.

use std::io::SeekFrom;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use sha2::{Digest as _, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _};
use tokio_util::io::ReaderStream;

/// How much of a body is kept in memory, and searched by a fault's `bodyContains`.
const HEAD_BYTES: usize = 1024 * 1024;
/// The largest body that is taken.
pub(crate) const MAX_BODY_BYTES: u32 = 200 * 1024 * 1024;
/// The piece in which the file is read back.
const READ_BYTES: usize = 256 * 1024;

/// A body that was read whole.
#[derive(Debug)]
pub(crate) struct Spool {
    head: Bytes,
    rest: Option<File>,
    size: u32,
    sha256: String,
}

/// Why a body was not read whole.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpoolError {
    /// More than [`MAX_BODY_BYTES`].
    #[error("the body is larger than {MAX_BODY_BYTES} bytes")]
    TooLarge,
    /// The client went away, or sent a broken transfer encoding.
    #[error("the body ended early")]
    Broken(#[source] axum::Error),
    /// The temporary file failed; most often a full disk.
    #[error("the body could not be kept")]
    Disk(#[from] std::io::Error),
}

impl Spool {
    /// Reads `body` to its end.
    ///
    /// # Errors
    /// See [`SpoolError`].
    pub(crate) async fn read(body: Body) -> Result<Self, SpoolError> {
        let mut chunks = body.into_data_stream();
        let mut hasher = Sha256::new();
        let mut head = BytesMut::new();
        let mut rest = None;
        let mut size = 0_u32;
        while let Some(chunk) = chunks.next().await {
            let mut chunk = chunk.map_err(SpoolError::Broken)?;
            size = u32::try_from(chunk.len())
                .ok()
                .and_then(|length| size.checked_add(length))
                .filter(|size| *size <= MAX_BODY_BYTES)
                .ok_or(SpoolError::TooLarge)?;
            hasher.update(&chunk);
            let room = HEAD_BYTES - head.len();
            head.extend_from_slice(&chunk.split_to(room.min(chunk.len())));
            if !chunk.is_empty() {
                let file = match &mut rest {
                    Some(file) => file,
                    None => rest.insert(File::from_std(tempfile::tempfile()?)),
                };
                file.write_all(&chunk).await?;
            }
        }
        if let Some(file) = &mut rest {
            file.flush().await?;
            file.seek(SeekFrom::Start(0)).await?;
        }
        Ok(Self { head: head.freeze(), rest, size, sha256: hex(&hasher.finalize()) })
    }

    /// The first mebibyte, or all of it.
    pub(crate) fn head(&self) -> &Bytes {
        &self.head
    }

    /// Bytes in all.
    pub(crate) fn size(&self) -> u32 {
        self.size
    }

    /// SHA-256 of all bytes, in lower-case hex.
    pub(crate) fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The body, to be read again from its beginning.
    pub(crate) fn into_body(self) -> Body {
        match self.rest {
            None => Body::from(self.head),
            Some(file) => {
                let head = stream::once(std::future::ready(Ok(self.head)));
                Body::from_stream(head.chain(ReaderStream::with_capacity(file, READ_BYTES)))
            }
        }
    }
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn gives_back_the_bytes_it_read_whatever_the_size() {
        for size in [0, 1, HEAD_BYTES - 1, HEAD_BYTES, HEAD_BYTES + 1, 3 * HEAD_BYTES + 17] {
            let bytes: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let pieces: Vec<_> = bytes.chunks(70_001).map(|c| Ok::<_, std::io::Error>(c.to_vec())).collect();
            let spool = Spool::read(Body::from_stream(stream::iter(pieces))).await.unwrap();
            assert_eq!(usize::try_from(spool.size()).unwrap(), size);
            assert_eq!(spool.sha256(), hex(&Sha256::digest(&bytes)));
            let again = axum::body::to_bytes(spool.into_body(), usize::MAX).await.unwrap();
            assert!(again == bytes, "{size} bytes came back changed");
        }
    }

    #[test]
    fn hex_is_lower_case_and_keeps_leading_zeros() {
        assert_eq!(hex(&[0x00, 0x0f, 0xa1]), "000fa1");
    }
}
