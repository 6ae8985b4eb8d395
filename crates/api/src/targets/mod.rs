//! Targets that come over HTTP: uploads that can be resumed, what is made of them, and whose they are.

mod archive;
mod index;
mod intake;
mod left_out;
mod uploads;

pub(crate) use archive::Format;
pub(crate) use index::{KnownTarget, TargetIndex};
pub(crate) use intake::take_in;
pub(crate) use left_out::LeftOut;
pub(crate) use uploads::{Bytes, Upload, UploadError, Uploads};
