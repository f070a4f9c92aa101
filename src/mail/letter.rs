//! The text of a mail, in the language of whom it is for.
