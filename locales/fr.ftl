### Ce qui est dit aux personnes, en français.

## Courriers. Chaque message est un genre de courrier, chaque attribut une de ses parties.

mail =
    .greeting = Bonjour,
    .greeting-by-name = Bonjour {$name},
    .lives = Le lien ne fonctionne qu’une seule fois et reste valable {$unit ->
        [minutes] {$count ->
            [one] {$count} minute
           *[other] {$count} minutes
        }
        [hours] {$count ->
            [one] {$count} heure
           *[other] {$count} heures
        }
       *[days] {$count ->
            [one] {$count} jour
           *[other] {$count} jours
        }
    }.
    .regards = Cordialement

invitation =
    .subject = {$organisation} : votre compte dans l’annuaire
    .reason = L’administration de l’organisation « {$organisation} » a créé un compte à votre nom dans son annuaire. Pour l’utiliser, choisissez un mot de passe.
    .action = Choisir un mot de passe
    .otherwise = Si vous ne connaissez pas cette organisation, ignorez ce message : sans mot de passe, personne ne peut utiliser le compte.

registration =
    .subject = {$organisation} : votre inscription
    .reason = Quelqu’un, probablement vous, souhaite s’inscrire avec cette adresse e-mail dans l’annuaire de l’organisation « {$organisation} ». Pour terminer l’inscription, choisissez un mot de passe.
    .action = Choisir un mot de passe
    .otherwise = Si cette demande ne vient pas de vous, ignorez ce message : sans ce lien, aucun compte n’est ouvert.

address-taken =
    .subject = Cette adresse e-mail appartient déjà à votre compte
    .reason = Quelqu’un, probablement vous, a voulu s’inscrire avec cette adresse e-mail dans l’annuaire de l’organisation « {$organisation} », ou en faire sa nouvelle adresse. Elle appartient déjà à votre compte, et rien n’a été modifié.
    .otherwise = Si vous avez perdu votre mot de passe, demandez-en un nouveau sur la page de connexion. Si cette demande ne vient pas de vous, vous n’avez rien à faire.

password-reset =
    .subject = Choisissez un nouveau mot de passe
    .reason = Quelqu’un, probablement vous, a demandé un nouveau mot de passe pour votre compte dans l’annuaire de l’organisation « {$organisation} ». Dès que vous l’aurez choisi, toutes vos sessions prendront fin ; connectez-vous ensuite avec le nouveau mot de passe.
    .action = Choisir un nouveau mot de passe
    .otherwise = Si cette demande ne vient pas de vous, ignorez ce message : votre mot de passe reste inchangé.

email-confirmation =
    .subject = Confirmez cette adresse e-mail
    .reason = Quelqu’un, probablement vous, souhaite utiliser cette adresse e-mail pour un compte dans l’annuaire de l’organisation « {$organisation} ». Dès que vous l’aurez confirmée, elle remplacera l’adresse actuelle du compte.
    .action = Confirmer cette adresse
    .otherwise = Si cette demande ne vient pas de vous, ignorez ce message : le compte garde son adresse actuelle.

email-change-requested =
    .subject = Votre adresse e-mail va changer
    .reason = Quelqu’un, probablement vous, souhaite remplacer cette adresse e-mail par une autre pour votre compte dans l’annuaire de l’organisation « {$organisation} ». Le changement aura lieu dès que la nouvelle adresse sera confirmée.
    .otherwise = Si cette demande ne vient pas de vous, changez immédiatement votre mot de passe : cela empêche le changement d’adresse. Prévenez ensuite l’administration de l’annuaire.

password-changed =
    .subject = Votre mot de passe a été modifié
    .reason = Le mot de passe de votre compte dans l’annuaire de l’organisation « {$organisation} » a été modifié ou supprimé.
    .otherwise = Si vous n’avez pas connaissance de ce changement, demandez immédiatement un nouveau mot de passe sur la page de connexion et prévenez l’administration de l’annuaire.

pin-changed =
    .subject = Votre code PIN a été modifié
    .reason = Le code PIN de votre compte dans l’annuaire de l’organisation « {$organisation} » a été défini, modifié ou supprimé.
    .otherwise = Si vous n’avez pas connaissance de ce changement, changez immédiatement votre mot de passe et prévenez l’administration de l’annuaire.

email-changed =
    .subject = Votre adresse e-mail a été modifiée
    .reason = L’adresse e-mail de votre compte dans l’annuaire de l’organisation « {$organisation} » a été modifiée ou supprimée. Les messages concernant ce compte ne sont plus envoyés ici.
    .otherwise = Si vous n’avez pas connaissance de ce changement, prévenez immédiatement l’administration de l’annuaire.

## Pages auxquelles mènent les liens.

activate =
    .title = Choisissez un mot de passe
    .done = Votre mot de passe est enregistré. Connectez-vous désormais avec lui.
    .login = Connectez-vous en tant que
    .expired = Ce lien n’est plus valable : il a déjà servi, il est trop ancien ou un plus récent l’a remplacé. Demandez-en un autre à l’administration de l’annuaire ou inscrivez-vous à nouveau.
    .taken = Cette adresse e‑mail appartient entre-temps à un autre compte. Aucun compte n’a été ouvert.

reset =
    .title = Choisissez un nouveau mot de passe
    .done = Votre nouveau mot de passe est enregistré et toutes vos sessions ont pris fin. Connectez-vous désormais avec lui.
    .expired = Ce lien n’est plus valable : il a déjà servi, il est trop ancien ou un plus récent l’a remplacé. Demandez-en un autre sur la page de connexion.

confirm-email =
    .title = Confirmez votre adresse e‑mail
    .reason = Dès que vous l’aurez confirmée, l’adresse à laquelle le lien a été envoyé remplacera l’adresse actuelle de votre compte.
    .submit = Confirmer l’adresse
    .done = Votre adresse e‑mail est confirmée et appartient désormais à votre compte.
    .expired = Ce lien n’est plus valable : il a déjà servi, il est trop ancien ou un plus récent l’a remplacé. Demandez à nouveau le changement.
    .taken = Cette adresse e‑mail appartient entre-temps à un autre compte. Rien n’a été modifié.

password =
    .label = Nouveau mot de passe
    .again = Le même mot de passe encore une fois
    .length = Au moins {$shortest} et au plus {$longest} caractères
    .guess = Difficile à deviner : quelques mots sans rapport entre eux
    .own = Ni votre nom ni votre adresse
    .submit = Enregistrer le mot de passe
    .too-short = Le mot de passe doit compter au moins {$shortest} caractères.
    .too-long = Le mot de passe peut compter au plus {$longest} caractères.
    .easy = Ce mot de passe est facile à deviner. Utilisez quelques mots sans rapport entre eux.
    .different = Les deux mots de passe ne sont pas identiques.

page =
    .script = Cette page a besoin de JavaScript, pour que le secret du lien ne quitte votre navigateur qu’au moment voulu.
    .incomplete = Il manque la fin du lien. Ouvrez-le exactement comme il figure dans le message.
    .sending = Un instant, s’il vous plaît.
    .sign-in = Se connecter
    .busy = Il y a trop de tentatives en ce moment. Attendez un peu, puis réessayez.
    .unreachable = L’annuaire est injoignable en ce moment. Vérifiez votre connexion, puis réessayez.
    .failed = Cela n’a pas fonctionné. Réessayez plus tard ; si le problème persiste, prévenez l’administration de l’annuaire.
