//! A view: text as some decoding shows it, each byte of which knows where it came from in the file.

use std::borrow::Cow;
use std::ops::Range;

/// A decoding that led to a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Step {
    /// Base64, standard or URL-safe.
    Base64,
    /// Pairs of hexadecimal digits.
    Hex,
    /// `%41`, `\x41`, `\u0041`, `\101`.
    Escapes,
    /// String literals joined by an operator or by standing side by side.
    Joined,
    /// A list of characters or character codes.
    Characters,
    /// Rot13.
    Rot13,
    /// Written backwards.
    Reversed,
    /// Names replaced by the literals that they stand for.
    Variables,
}

impl Step {
    /// Name in findings.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Step::Base64 => "base64",
            Step::Hex => "hex",
            Step::Escapes => "escapes",
            Step::Joined => "joined literals",
            Step::Characters => "character list",
            Step::Rot13 => "rot13",
            Step::Reversed => "reversed",
            Step::Variables => "variables",
        }
    }
}

/// Text with the origin of each byte.
#[derive(Debug, Clone)]
pub(crate) struct View<'t> {
    /// What is scanned.
    pub(crate) text: Cow<'t, [u8]>,
    /// Origin of each byte of `text` as a range of the file; empty for the file itself.
    origins: Vec<(u32, u32)>,
    /// Only findings that touch this part are new; the rest is context.
    pub(crate) fresh: Range<usize>,
    /// How the text came to be, outermost first.
    pub(crate) steps: Vec<Step>,
}

impl<'t> View<'t> {
    /// The file itself.
    pub(crate) fn file(text: &'t [u8]) -> Self {
        View {
            fresh: 0..text.len(),
            text: Cow::Borrowed(text),
            origins: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// Where a byte of this view came from.
    fn origin(&self, at: usize) -> (u32, u32) {
        self.origins.get(at).copied().unwrap_or((at as u32, at as u32 + 1))
    }

    /// Where a range of this view came from.
    pub(crate) fn to_file(&self, range: &Range<usize>) -> Range<usize> {
        if self.origins.is_empty() || range.is_empty() {
            return range.clone();
        }
        let parts = &self.origins[range.start.min(self.origins.len())..range.end.min(self.origins.len())];
        let start = parts.iter().map(|part| part.0).min().unwrap_or(0);
        let end = parts.iter().map(|part| part.1).max().unwrap_or(start);
        start as usize..end as usize
    }
}

/// Builds a view from pieces of its parent.
pub(crate) struct Builder<'p, 't> {
    parent: &'p View<'t>,
    text: Vec<u8>,
    origins: Vec<(u32, u32)>,
    fresh: Range<usize>,
}

impl<'p, 't> Builder<'p, 't> {
    /// An empty view.
    pub(crate) fn new(parent: &'p View<'t>) -> Self {
        Builder {
            parent,
            text: Vec::new(),
            origins: Vec::new(),
            fresh: 0..0,
        }
    }

    /// One byte that stands for a range of the parent.
    pub(crate) fn push(&mut self, byte: u8, from: &Range<usize>) {
        let last = from.end.max(from.start + 1) - 1;
        let (start, end) = (self.parent.origin(from.start), self.parent.origin(last));
        self.text.push(byte);
        self.origins.push((start.0.min(end.0), start.1.max(end.1)));
    }

    /// A range of the parent as it is.
    pub(crate) fn copy(&mut self, from: Range<usize>) {
        self.text.extend_from_slice(&self.parent.text[from.clone()]);
        self.origins.extend(from.map(|at| self.parent.origin(at)));
    }

    /// What follows is new.
    pub(crate) fn begin_fresh(&mut self) {
        self.fresh = self.text.len()..self.text.len();
    }

    /// What follows is context again.
    pub(crate) fn end_fresh(&mut self) {
        self.fresh.end = self.text.len();
    }

    /// The new part so far.
    pub(crate) fn fresh_text(&self) -> &[u8] {
        &self.text[self.fresh.start..]
    }

    /// The finished view.
    pub(crate) fn finish(self, step: Step) -> View<'static> {
        let mut steps = self.parent.steps.clone();
        steps.push(step);
        View {
            text: Cow::Owned(self.text),
            origins: self.origins,
            fresh: self.fresh,
            steps,
        }
    }
}
