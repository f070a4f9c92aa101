//! Where people may be sent on to.
