//! Columns of text.

use unicode_width::UnicodeWidthStr;

use crate::terminal::Style;

/// Space between columns.
const GAP: usize = 2;
/// The last column is wrapped to no less than this.
const MIN_LAST: usize = 24;

/// A cell: its text, and how it is coloured.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cell {
    text: String,
    colour: &'static str,
}

impl Cell {
    /// A coloured cell.
    pub(crate) fn coloured(text: impl Into<String>, colour: &'static str) -> Self {
        Self {
            text: text.into(),
            colour,
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self {
            text: text.into(),
            colour: "",
        }
    }
}

/// Aligns columns under their headers. On a terminal the last column is wrapped to what is left of the width.
pub(crate) fn table(headers: &[&str], rows: &[Vec<Cell>], style: Style) -> String {
    let last = headers.len().saturating_sub(1);
    let widths: Vec<usize> = (0..last)
        .map(|n| {
            rows.iter()
                .map(|row| row[n].text.width())
                .chain([headers[n].width()])
                .max()
                .unwrap_or(0)
        })
        .collect();
    let indent: usize = widths.iter().map(|width| width + GAP).sum();
    let room = if style.terminal {
        style.width.saturating_sub(indent).max(MIN_LAST)
    } else {
        usize::MAX
    };
    let mut text = String::new();
    let header: Vec<Cell> = headers.iter().map(|header| Cell::coloured(*header, "2")).collect();
    for row in std::iter::once(&header).chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&style.paint(cell.colour, &cell.text));
            line.push_str(&" ".repeat(width - cell.text.width() + GAP));
        }
        let cell = &row[last];
        for (n, part) in wrap(&cell.text, room).into_iter().enumerate() {
            if n > 0 {
                line.push('\n');
                line.push_str(&" ".repeat(indent));
            }
            line.push_str(&style.paint(cell.colour, part));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Breaks at spaces; a word that is too long is not broken.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text.trim_end();
    while rest.width() > width {
        let fits = |at: usize| rest[..at].width() <= width;
        let spaces = || rest.match_indices(' ').map(|(at, _)| at).filter(|at| *at > 0);
        let Some(at) = spaces().take_while(|at| fits(*at)).last().or_else(|| spaces().next()) else {
            break;
        };
        lines.push(rest[..at].trim_end());
        rest = rest[at..].trim_start();
    }
    lines.push(rest);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_have_no_trailing_space() {
        let rows = vec![vec!["a".into(), "first".into()], vec!["long".into(), "".into()]];
        assert_eq!(
            table(&["ID", "TEXT"], &rows, Style::PLAIN),
            "ID    TEXT\na     first\nlong\n"
        );
    }

    #[test]
    fn the_last_column_wraps_on_a_terminal_only() {
        let rows = vec![vec!["a".into(), "one two three four five six seven".into()]];
        let style = Style {
            terminal: true,
            colour: false,
            width: 30,
        };
        assert_eq!(
            table(&["ID", "TEXT"], &rows, style),
            "ID  TEXT\na   one two three four five\n    six seven\n"
        );
        assert_eq!(table(&["ID", "TEXT"], &rows, Style::PLAIN).lines().count(), 2);
    }

    #[test]
    fn wide_characters_take_two_columns() {
        let rows = vec![vec!["日本".into(), "x".into()], vec!["abcd".into(), "y".into()]];
        assert_eq!(table(&["N", "T"], &rows, Style::PLAIN), "N     T\n日本  x\nabcd  y\n");
    }

    #[test]
    fn a_word_that_is_too_long_stays_whole() {
        assert_eq!(wrap("abcdefghij kl", 5), ["abcdefghij", "kl"]);
        assert_eq!(wrap("", 5), [""]);
    }
}
