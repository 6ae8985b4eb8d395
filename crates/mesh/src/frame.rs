//! Messages on a stream: four bytes of length, then postcard.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Writes a message.
pub(crate) async fn write<T: Serialize>(to: &mut (impl AsyncWrite + Unpin), message: &T) -> io::Result<()> {
    let bytes = postcard::to_stdvec(message).map_err(io::Error::other)?;
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    to.write_all(&length.to_le_bytes()).await?;
    to.write_all(&bytes).await
}

/// Reads a message of at most `limit` bytes.
pub(crate) async fn read<T: DeserializeOwned>(from: &mut (impl AsyncRead + Unpin), limit: usize) -> io::Result<T> {
    let mut length = [0; 4];
    from.read_exact(&mut length).await?;
    let length = u32::from_le_bytes(length) as usize;
    if length > limit {
        let what = format!("a message of {length} bytes, where {limit} are the most");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    // What was not sent is not kept room for.
    let mut bytes = Vec::new();
    from.take(length as u64).read_to_end(&mut bytes).await?;
    if bytes.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    postcard::from_bytes(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_come_as_they_went_and_what_is_no_message_is_refused() {
        let (mut a, mut b) = tokio::io::duplex(64);
        let sent = tokio::spawn(async move {
            write(&mut a, &("hello", 7_u64)).await.unwrap();
            a.write_all(&u32::MAX.to_le_bytes()).await.unwrap();
            a
        });
        let (text, number): (String, u64) = read(&mut b, 100).await.unwrap();
        assert_eq!((text.as_str(), number), ("hello", 7));
        let refused = read::<String>(&mut b, 100).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
        let mut a = sent.await.unwrap();
        a.write_all(&[9, 0, 0, 0, 1]).await.unwrap();
        drop(a);
        let cut = read::<String>(&mut b, 100).await.unwrap_err();
        assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof);
    }
}
