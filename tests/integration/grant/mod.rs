//! Grants by themselves; who may give what is in `ceiling`, and what each opens in `check`.

mod above;
