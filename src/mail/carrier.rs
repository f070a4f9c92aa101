//! How a mail leaves: by SMTP, or into a folder.
