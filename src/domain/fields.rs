//! Reads several fields of a request at once: all their values, or one error with everything that is wrong with them.

use super::error::{Error, Violations};

/// Some fields as they were read, each by itself.
pub trait Fields {
    /// What they hold.
    type Values;

    /// Returns all of them, or nothing and what is wrong in `violations`.
    ///
    /// # Errors
    /// Passes on an error that is not about wrong fields.
    fn gather(self, violations: &mut Violations) -> Result<Option<Self::Values>, Error>;
}

/// Returns the values of all fields.
///
/// # Errors
/// One error with every violation; its reason is theirs if they agree, else
/// [`RequestInvalid`](super::error::Reason::RequestInvalid).
pub fn all<F: Fields>(fields: F) -> Result<F::Values, Error> {
    let mut violations = Violations::default();
    match fields.gather(&mut violations)? {
        Some(values) => Ok(values),
        None => Err(violations.into_error()),
    }
}

macro_rules! fields {
    ($($value:ident),+) => {
        impl<$($value),+> Fields for ($(Result<$value, Error>,)+) {
            type Values = ($($value,)+);

            #[expect(non_snake_case, reason = "each value bears the name of its type")]
            fn gather(self, violations: &mut Violations) -> Result<Option<Self::Values>, Error> {
                let ($($value,)+) = self;
                $(let $value = violations.take($value)?;)+
                match ($($value,)+) {
                    ($(Some($value),)+) => Ok(Some(($($value,)+))),
                    _ => Ok(None),
                }
            }
        }
    };
}

fields!(A, B);
fields!(A, B, C);
fields!(A, B, C, D);
fields!(A, B, C, D, E);
fields!(A, B, C, D, E, F);

impl<T> Fields for Vec<Result<T, Error>> {
    type Values = Vec<T>;

    fn gather(self, violations: &mut Violations) -> Result<Option<Vec<T>>, Error> {
        let count = self.len();
        let mut values = Vec::with_capacity(count);
        for field in self {
            values.extend(violations.take(field)?);
        }
        Ok((values.len() == count).then_some(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::error::Reason;

    fn wrong(field: &str) -> Result<u8, Error> {
        Err(Error::invalid(field, Reason::OutOfRange, "is wrong"))
    }

    #[test]
    fn all_values_come_or_all_violations() {
        assert_eq!(all((Ok(1), Ok("two"))).unwrap(), (1, "two"));
        assert_eq!(all(vec![Ok(1), Ok(2)]).unwrap(), [1, 2]);

        let refused = all((wrong("one"), Ok(2), wrong("three"))).unwrap_err();
        let fields: Vec<&str> = refused.violations.iter().map(|it| it.field.as_str()).collect();
        assert_eq!(fields, ["one", "three"]);
        let refused = all(vec![Ok(0), wrong("one"), wrong("two")]).unwrap_err();
        assert_eq!(refused.violations.len(), 2);
    }

    #[test]
    fn another_error_comes_by_itself() {
        let error = all((wrong("one"), Err::<u8, _>(Error::not_found("group", "x")))).unwrap_err();
        assert_eq!(error.reason, Reason::NotFound);
    }
}
