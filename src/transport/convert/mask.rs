//! Update masks: which fields of a noun a request writes (AIP-134).

use crate::domain::error::{Error, Reason};

/// Which fields of a noun are written.
#[derive(Clone, Copy, Debug)]
pub enum Mask<'a> {
    /// All that can be.
    All,
    /// Those that the request gives a value.
    Set,
    /// Those of these paths.
    Named(&'a [String]),
}

impl<'a> Mask<'a> {
    /// Takes a mask over the fields `known`; without one, every field that is set is written.
    ///
    /// # Errors
    /// - [`Reason::UpdateMaskInvalid`] for a path that is none of them; `*` stands for all.
    pub fn parse(mask: Option<&'a prost_types::FieldMask>, known: &[&str]) -> Result<Self, Error> {
        let paths = mask.map(|mask| mask.paths.as_slice()).unwrap_or_default();
        if paths.is_empty() {
            return Ok(Self::Set);
        }
        if paths == ["*"] {
            return Ok(Self::All);
        }
        if paths.iter().all(|path| known.contains(&path.as_str())) {
            return Ok(Self::Named(paths));
        }
        let message = format!("names a field that cannot be written; those that can: {}", known.join(", "));
        Err(Error::invalid("update_mask", Reason::UpdateMaskInvalid, message))
    }

    /// Returns whether `field` is written; `is_set` says whether the request gives it a value.
    #[must_use]
    pub fn takes(self, field: &str, is_set: bool) -> bool {
        match self {
            Self::All => true,
            Self::Set => is_set,
            Self::Named(paths) => paths.iter().any(|path| path == field),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_names_known_fields_and_without_one_what_is_set_is_written() {
        let mask = |paths: &[&str]| prost_types::FieldMask { paths: paths.iter().map(|&it| it.to_owned()).collect() };
        let known = ["name", "color"];
        let name = mask(&["name"]);
        let some = Mask::parse(Some(&name), &known).unwrap();
        assert!(some.takes("name", false) && !some.takes("color", true));
        let every = mask(&["*"]);
        assert!(Mask::parse(Some(&every), &known).unwrap().takes("color", false));
        let none = Mask::parse(None, &known).unwrap();
        assert!(none.takes("color", true) && !none.takes("color", false));
        assert_eq!(Mask::parse(Some(&mask(&["id"])), &known).unwrap_err().reason, Reason::UpdateMaskInvalid);
    }
}
