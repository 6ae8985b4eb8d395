//! Where a store is: a directory, or a bucket by URL.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where blobs are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A directory that all who use the store can reach.
    Directory(PathBuf),
    /// A bucket of a server that speaks the S3 protocol.
    S3 {
        /// The bucket.
        bucket: String,
        /// What all keys begin with; empty, or parts joined by slashes, without one at either end.
        prefix: String,
    },
}

/// A text that names no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no place for blobs: {reason}; write a directory, or s3://BUCKET or s3://BUCKET/PREFIX")]
pub struct InvalidPlace {
    text: String,
    reason: &'static str,
}

impl FromStr for Place {
    type Err = InvalidPlace;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |reason| InvalidPlace {
            text: text.to_owned(),
            reason,
        };
        if let Some(path) = text.strip_prefix("file://") {
            return match path.starts_with('/') {
                true => Ok(Place::Directory(path.into())),
                false => Err(wrong("a file: URL needs an absolute path")),
            };
        }
        if let Some(rest) = text.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            let prefix = prefix.trim_matches('/');
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if bucket.is_empty() || !bucket.chars().all(plain) {
                return Err(wrong("a bucket's name has letters, digits, `-`, `_` and `.` only"));
            }
            let part = |part: &str| !part.is_empty() && !matches!(part, "." | "..") && part.chars().all(plain);
            if !prefix.is_empty() && !prefix.split('/').all(part) {
                return Err(wrong(
                    "a prefix has letters, digits, `-`, `_`, `.` and single slashes only",
                ));
            }
            return Ok(Place::S3 {
                bucket: bucket.to_owned(),
                prefix: prefix.to_owned(),
            });
        }
        match text {
            "" => Err(wrong("it is empty")),
            _ if text.contains("://") => Err(wrong("only s3: and file: URLs are known")),
            path => Ok(Place::Directory(path.into())),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Directory(path) => path.display().fmt(f),
            Place::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Place::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_written_back() {
        for (text, back) in [
            ("/var/lib/blobs", "/var/lib/blobs"),
            ("blobs", "blobs"),
            ("file:///srv/blobs", "/srv/blobs"),
            ("s3://bucket", "s3://bucket"),
            ("s3://bucket/", "s3://bucket"),
            ("s3://bucket/a/b/", "s3://bucket/a/b"),
        ] {
            assert_eq!(text.parse::<Place>().unwrap().to_string(), back, "{text}");
        }
    }

    #[test]
    fn what_is_no_place_is_refused_with_what_to_write() {
        for text in [
            "",
            "s3://",
            "s3:///a",
            "s3://user:password@bucket",
            "s3://bucket/a//b",
            "s3://bucket/../other",
            "gs://bucket",
            "file://relative",
        ] {
            let error = text.parse::<Place>().unwrap_err().to_string();
            assert!(error.contains("s3://BUCKET"), "{error}");
        }
    }
}
