### What is said to people, in English.

## Mails. Each message is a kind of mail, each attribute a part of it.

mail =
    .greeting = Hello,
    .greeting-by-name = Hello {$name},
    .lives = The link works only once and is valid for {$unit ->
        [minutes] {$count ->
            [one] 1 minute
           *[other] {$count} minutes
        }
        [hours] {$count ->
            [one] 1 hour
           *[other] {$count} hours
        }
       *[days] {$count ->
            [one] 1 day
           *[other] {$count} days
        }
    }.
    .regards = Kind regards

invitation =
    .subject = Your account in the directory of {$organisation}
    .reason = An administrator of {$organisation} has entered you into its directory. To use your account, choose a password.
    .action = Choose a password
    .otherwise = If you do not know this organisation, ignore this message: without a password nobody can use the account.

registration =
    .subject = Your registration with {$organisation}
    .reason = Somebody, probably you, wants to register with this e-mail address in the directory of {$organisation}. To complete the registration, choose a password.
    .action = Choose a password
    .otherwise = If the request did not come from you, ignore this message: without this link no account is opened.

address-taken =
    .subject = This e-mail address belongs to your account already
    .reason = Somebody, probably you, wanted to register with this e-mail address in the directory of {$organisation}, or to change to it. It belongs to your account already, and nothing was changed.
    .otherwise = If you have lost your password, ask for a new one where you sign in. If the request did not come from you, there is nothing that you need to do.

password-reset =
    .subject = Choose a new password
    .reason = Somebody, probably you, asked for a new password for your account in the directory of {$organisation}. As soon as you have chosen it, all your sessions end; then sign in with the new password.
    .action = Choose a new password
    .otherwise = If the request did not come from you, ignore this message: your password stays as it is.

email-confirmation =
    .subject = Confirm this e-mail address
    .reason = Somebody, probably you, wants to use this e-mail address for an account in the directory of {$organisation}. As soon as you have confirmed it, it takes the place of the account’s present address.
    .action = Confirm this address
    .otherwise = If the request did not come from you, ignore this message: the account keeps its present address.

email-change-requested =
    .subject = Your e-mail address is about to change
    .reason = Somebody, probably you, wants another e-mail address to take the place of this one for your account in the directory of {$organisation}. It does so as soon as it is confirmed.
    .otherwise = If the request did not come from you, change your password at once: that stops the change. Then tell an administrator.

password-changed =
    .subject = Your password was changed
    .reason = The password of your account in the directory of {$organisation} was changed or removed.
    .otherwise = If you know nothing of this, ask for a new password at once where you sign in, and tell an administrator.

pin-changed =
    .subject = Your PIN was changed
    .reason = The PIN of your account in the directory of {$organisation} was set, changed or removed.
    .otherwise = If you know nothing of this, change your password at once, and tell an administrator.

email-changed =
    .subject = Your e-mail address was changed
    .reason = The e-mail address of your account in the directory of {$organisation} was changed or removed. From now on no messages about it come here.
    .otherwise = If you know nothing of this, tell an administrator at once.

## Pages that links lead to.

activate =
    .title = Choose a password
    .done = Your password is set. Sign in with it from now on.
    .login = Sign in as
    .expired = This link is no longer valid: it was used already, it is too old, or a newer one has taken its place. Ask an administrator for another one, or register again.
    .taken = This e‑mail address belongs to another account by now. No account was opened.

reset =
    .title = Choose a new password
    .done = Your new password is set, and all your sessions have ended. Sign in with it from now on.
    .expired = This link is no longer valid: it was used already, it is too old, or a newer one has taken its place. Ask for another one where you sign in.

confirm-email =
    .title = Confirm your e‑mail address
    .reason = As soon as you have confirmed it, the address to which the link was sent takes the place of your account’s present address.
    .submit = Confirm the address
    .done = Your e‑mail address is confirmed, and belongs to your account from now on.
    .expired = This link is no longer valid: it was used already, it is too old, or a newer one has taken its place. Ask for the change again.
    .taken = This e‑mail address belongs to another account by now. Nothing was changed.

password =
    .label = New password
    .again = The same password again
    .length = At least {$shortest} and at most {$longest} characters
    .guess = Hard to guess: a few words that do not belong together
    .own = Neither your name nor your address
    .submit = Set the password
    .too-short = The password needs at least {$shortest} characters.
    .too-long = The password may have at most {$longest} characters.
    .easy = This password is easy to guess. Use a few words that do not belong together.
    .different = The two passwords are not the same.

page =
    .script = This page needs JavaScript, so that the link’s secret leaves your browser only when you are done.
    .incomplete = The end of the link is missing. Open it exactly as it stands in the message.
    .sending = One moment, please.
    .sign-in = Sign in
    .busy = There are too many attempts at the moment. Wait a little, then try again.
    .unreachable = The directory cannot be reached at the moment. Check your connection, then try again.
    .failed = That did not work. Try again later; if it still does not work, tell an administrator.
