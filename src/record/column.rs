//! The columns of CSV and the keys of JSON Lines: their names, and the names of conversion types.

use super::{ConversionKind, SourceKind, Span, TimeWindow};

/// A column of CSV, or a key of JSON Lines, that a record needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the columns")]
pub enum Column {
    Email,
    FbUser,
    InstaUser,
    Gender,
    Promo,
    Conversion,
    Where,
    Items,
    TotalCost,
    Time,
}

impl Column {
    /// All columns, in the order of the enum.
    pub const ALL: [Self; 10] = [
        Self::Email,
        Self::FbUser,
        Self::InstaUser,
        Self::Gender,
        Self::Promo,
        Self::Conversion,
        Self::Where,
        Self::Items,
        Self::TotalCost,
        Self::Time,
    ];

    /// The columns of a loyalty row, in the order in which they are written.
    pub const LOYALTY: [Self; 4] = [Self::Email, Self::FbUser, Self::InstaUser, Self::Gender];

    /// The columns of a conversion, in the order in which they are written.
    pub const CONVERSION: [Self; 6] =
        [Self::Promo, Self::Conversion, Self::Email, Self::Where, Self::Items, Self::TotalCost];

    /// The name that a column has unless an option gives another.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::FbUser => "fb_user",
            Self::InstaUser => "insta_user",
            Self::Gender => "gender",
            Self::Promo => "promo",
            Self::Conversion => "conversion",
            Self::Where => "where",
            Self::Items => "items",
            Self::TotalCost => "total_cost",
            Self::Time => "time",
        }
    }

    /// The column with this name, compared like the names of columns.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = normalized(name.as_bytes());
        Self::ALL.into_iter().find(|column| normalized(column.name().as_bytes()) == name)
    }
}

/// A name in the form in which names are compared: without case, spaces, `_` and `-`. `Total Cost`, `TOTAL_COST` and
/// `total-cost` are the same name.
pub fn normalized(name: &[u8]) -> Vec<u8> {
    let is_kept = |byte: &u8| !matches!(byte, b' ' | b'_' | b'-');
    name.iter().filter(|byte| is_kept(byte)).map(u8::to_ascii_lowercase).collect()
}

/// The names of the columns of one source. Only conversions have a column for the time, and only if an option names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnNames(Vec<(Column, Vec<u8>)>);

impl ColumnNames {
    /// The default names of a source, overridden by `mapped`.
    pub fn new(source: SourceKind, mapped: &[(Column, String)]) -> Self {
        let columns: &[&[Column]] = match source {
            SourceKind::Loyalty => &[&Column::LOYALTY],
            SourceKind::Conversions => &[&Column::CONVERSION],
            SourceKind::Interleaved => &[&Column::LOYALTY, &Column::CONVERSION],
            SourceKind::Suppression => &[&[Column::Email]],
        };
        let mut names: Vec<(Column, Vec<u8>)> = Vec::new();
        for &column in columns.iter().copied().flatten().chain(&[Column::Time]) {
            let name = mapped.iter().find(|(of, _)| *of == column).map(|(_, name)| name.as_str());
            let name = name.or((column != Column::Time).then_some(column.name()));
            // `-` means that the field is not read.
            if let Some(name) = name.filter(|name| *name != "-").filter(|_| names.iter().all(|(of, _)| *of != column)) {
                names.push((column, normalized(name.as_bytes())));
            }
        }
        Self(names)
    }

    /// These names and the name of one more column, which is the default unless another is given.
    pub fn with(mut self, column: Column, name: Option<&str>) -> Self {
        self.0.push((column, normalized(name.unwrap_or(column.name()).as_bytes())));
        self
    }

    /// The columns with their normalized names.
    pub fn iter(&self) -> impl Iterator<Item = (Column, &[u8])> {
        self.0.iter().map(|(column, name)| (*column, name.as_slice()))
    }

    /// Whether the source has this column.
    pub fn contains(&self, column: Column) -> bool {
        self.0.iter().any(|(of, _)| *of == column)
    }
}

/// The stripped fields of one row or object, by column; [`Span::ABSENT`] for a column that it does not have.
#[derive(Debug, Clone, Copy)]
pub struct TableFields {
    spans: [Span; Column::ALL.len()],
    /// Whether the items are a list of ids, in the form of the text format.
    pub has_valid_items: bool,
}

impl Default for TableFields {
    fn default() -> Self {
        Self { spans: [Span::ABSENT; Column::ALL.len()], has_valid_items: true }
    }
}

impl TableFields {
    #[inline]
    pub fn set(&mut self, column: Column, field: Span) {
        self.spans[column as usize] = field;
    }

    /// The field of a column; `None` if it is absent.
    #[inline]
    pub fn get(&self, column: Column) -> Option<Span> {
        Some(self.spans[column as usize]).filter(|&span| span != Span::ABSENT)
    }

    /// The field of a column that may be empty; an absent one is empty.
    #[inline]
    pub fn get_or_empty(&self, column: Column) -> Span {
        self.get(column).unwrap_or(Span::in_block(0, 0))
    }
}

/// The names of conversion types in CSV and JSON Lines, in addition to those of text: `click`, `basket` and `purchase`
/// in any case, and those of `--type`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TypeNames {
    /// The type of each name; `None` for a type that is ignored.
    pub names: Vec<(Vec<u8>, Option<ConversionKind>)>,
    /// Whether types with any other name are ignored.
    pub ignores_others: bool,
}

/// What a conversion type in the data means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedType {
    Conversion(ConversionKind),
    Ignored,
    Unknown,
}

impl TypeNames {
    /// The type with this stripped name.
    #[inline]
    pub fn get(&self, name: &[u8]) -> NamedType {
        if let Some((_, kind)) = self.names.iter().find(|(of, _)| of == name) {
            return kind.map_or(NamedType::Ignored, NamedType::Conversion);
        }
        match ConversionKind::from_name(name).or_else(|| ConversionKind::from_short_name(name)) {
            Some(kind) => NamedType::Conversion(kind),
            None if self.ignores_others => NamedType::Ignored,
            None => NamedType::Unknown,
        }
    }
}

/// How the rows of a table are decoded, apart from the names of its columns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableRules {
    /// The names of conversion types.
    pub types: TypeNames,
    /// The promo of conversions that have none.
    pub promo: Option<String>,
    /// Whether a column contains the time of a conversion.
    pub has_times: bool,
    /// The time range of the conversions that are decided.
    pub window: TimeWindow,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_without_case_spaces_and_hyphens() {
        for name in ["Total Cost", "TOTAL_COST", "total-cost", "totalcost"] {
            assert_eq!(Column::from_name(name), Some(Column::TotalCost), "{name}");
        }
        assert_eq!(Column::from_name("total.cost"), None);
    }

    #[test]
    fn a_mapped_name_replaces_the_default_name() {
        let mapped = [(Column::Email, "Customer Mail".to_owned()), (Column::Time, "ts".to_owned())];
        let names = ColumnNames::new(SourceKind::Conversions, &mapped);
        let of = |column| names.iter().find(|(of, _)| *of == column).map(|(_, name)| name.to_vec());
        assert_eq!(of(Column::Email), Some(b"customermail".to_vec()));
        assert_eq!(of(Column::Time), Some(b"ts".to_vec()));
        assert_eq!(of(Column::Gender), None);
    }

    #[test]
    fn a_type_has_the_names_of_the_options_and_the_short_ones() {
        let names = vec![(b"ad_click".to_vec(), Some(ConversionKind::Click)), (b"basket".to_vec(), None)];
        let types = TypeNames { names, ignores_others: false };
        for name in ["ad_click", "click", "CLICK", "ClickConversion"] {
            assert_eq!(types.get(name.as_bytes()), NamedType::Conversion(ConversionKind::Click), "{name}");
        }
        assert_eq!(types.get(b"basket"), NamedType::Ignored);
        assert_eq!(types.get(b"page_view"), NamedType::Unknown);
        assert_eq!(TypeNames { ignores_others: true, ..types }.get(b"page_view"), NamedType::Ignored);
    }
}
