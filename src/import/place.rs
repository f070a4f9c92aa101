//! The places of rows in the files of an import.

/// The place of a row. Many are kept, so it is small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The number of the file, counted from 0.
    pub(super) file: u16,
    /// The number of the line at which the row begins, counted from 1. Of a row of a request, its index.
    pub(super) line: u32,
    /// The number of the row within its file, counted from 1.
    pub(super) row: u32,
    /// Whether the row before begins on the same line.
    shares_line: bool,
}

impl Place {
    /// Returns the place of a row of which only the line is known.
    pub(super) fn of_line(line: u64) -> Self {
        Self { line: u32::try_from(line).unwrap_or(u32::MAX), ..Self::default() }
    }

    /// Returns the place with the number of the row, which comes after another one in a file.
    pub(super) fn after(self, before: Self, file: u16) -> Self {
        let shares_line = before.row > 0 && before.line == self.line;
        Self { file, row: before.row.saturating_add(1), shares_line, ..self }
    }

    /// Describes the place. The file is named if there are several, and the row if its line does not tell which one it is.
    pub(super) fn name(self, files: &[String]) -> String {
        let row = if self.shares_line { format!(" (row {})", self.row) } else { String::new() };
        let file = files.get(usize::from(self.file)).filter(|_| files.len() > 1);
        let file = file.map(|file| format!(" of {file}")).unwrap_or_default();
        format!("line {}{row}{file}", self.line)
    }

    /// Returns the name of the file, the number of the line and that of the row.
    pub(super) fn cells(self, files: &[String]) -> [String; 3] {
        let file = files.get(usize::from(self.file)).cloned().unwrap_or_default();
        [file, self.line.to_string(), self.row.to_string()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_names_what_tells_the_rows_apart() {
        let files = ["a.json".to_owned(), "b.json".to_owned()];
        let first = Place::of_line(3).after(Place::default(), 1);
        let second = Place::of_line(3).after(first, 1);
        assert_eq!((first.name(&[]), second.name(&files[..1])), ("line 3".to_owned(), "line 3 (row 2)".to_owned()));
        assert_eq!(second.name(&files), "line 3 (row 2) of b.json");
        assert!(first < second && second < Place::of_line(4).after(second, 1));
        assert!(Place::of_line(4).after(second, 1).name(&files).starts_with("line 4 of"));
    }
}
