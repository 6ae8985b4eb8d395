//! Messages on a stream: four bytes of length, then postcard.

use std::io;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

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

/// Fills the buffer for as long as something comes: a slow line is none that is broken.
pub(crate) async fn read_all(
    from: &mut (impl AsyncRead + Unpin),
    bytes: &mut [u8],
    silence: Duration,
) -> io::Result<()> {
    let mut read = 0;
    while read < bytes.len() {
        let come = timeout(silence, from.read(&mut bytes[read..])).await;
        match come.map_err(|_| silent("nothing came any more"))?? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => read += more,
        }
    }
    Ok(())
}

/// Writes all for as long as something is taken.
pub(crate) async fn write_all(to: &mut (impl AsyncWrite + Unpin), bytes: &[u8], silence: Duration) -> io::Result<()> {
    let mut written = 0;
    while written < bytes.len() {
        let taken = timeout(silence, to.write(&bytes[written..])).await;
        match taken.map_err(|_| silent("nothing was taken any more"))?? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            more => written += more,
        }
    }
    Ok(())
}

fn silent(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_slow_line_is_none_that_is_broken() {
        const SILENCE: Duration = Duration::from_secs(30);
        let (mut a, mut b) = tokio::io::duplex(8);
        let slow = tokio::spawn(async move {
            for _ in 0..10 {
                tokio::time::sleep(SILENCE * 2 / 3).await;
                a.write_all(b"1234").await.unwrap();
            }
            a
        });
        let mut bytes = [0; 40];
        read_all(&mut b, &mut bytes, SILENCE).await.unwrap();
        assert!(bytes.ends_with(b"1234"));
        let mut a = slow.await.unwrap();
        let silent = read_all(&mut b, &mut bytes, SILENCE).await.unwrap_err();
        assert_eq!(silent.kind(), io::ErrorKind::TimedOut);
        let full = write_all(&mut a, &bytes, SILENCE).await.unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::TimedOut);
        drop(a);
        let mut rest = Vec::new();
        b.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest.len(), 8);
    }

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
