//! Frames: a length, then so many bytes. Longer ones than the limit are refused before anything is allocated for them.

use std::io;

use serde::{Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Entries are of some MiB, and the log hands out so many of them at once that they fit.
const MAX_FRAME: usize = 24 << 20;

/// Sends a value.
pub(crate) async fn send(stream: &mut (impl AsyncWrite + Unpin), value: &impl Serialize) -> io::Result<()> {
    let body = postcard::to_extend(value, vec![0; 4]).map_err(io::Error::other)?;
    send_filled(stream, body).await
}

/// Sends bytes as they are.
pub(crate) async fn send_bytes(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    let mut body = vec![0; 4];
    body.extend_from_slice(bytes);
    send_filled(stream, body).await
}

/// Sends a frame with room for its length in front.
async fn send_filled(stream: &mut (impl AsyncWrite + Unpin), mut body: Vec<u8>) -> io::Result<()> {
    let length = body.len() - 4;
    if length > MAX_FRAME {
        return Err(io::Error::other(format!("a frame of {length} bytes is over the limit")));
    }
    body[..4].copy_from_slice(&(length as u32).to_be_bytes());
    stream.write_all(&body).await?;
    stream.flush().await
}

/// Waits for a value; `None` when the other side is gone.
pub(crate) async fn receive<T: DeserializeOwned>(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<T>> {
    match receive_bytes(stream).await? {
        None => Ok(None),
        Some(bytes) => postcard::from_bytes(&bytes).map(Some).map_err(io::Error::other),
    }
}

/// Waits for a frame; `None` when the other side is gone.
pub(crate) async fn receive_bytes(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = u32::from_be_bytes(length) as usize;
    if length > MAX_FRAME {
        let text = format!("the other node announces a frame of {length} bytes, which is over the limit");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_frame_over_the_limit_is_refused_by_its_length_alone() {
        let (mut ours, mut theirs) = tokio::io::duplex(64);
        ours.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
        let error = receive_bytes(&mut theirs).await.unwrap_err();
        assert!(error.to_string().contains("over the limit"), "{error}");
    }
}
