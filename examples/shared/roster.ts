import { Roster, webStorage } from '@roster/client';

// Never from the address of the page: whoever writes a link to it would choose the server that gets the password.
const url = document.querySelector<HTMLMetaElement>('meta[name=roster]')!.content;

export const roster = new Roster({
  url,
  storage: webStorage(sessionStorage),
  // A new page, so that nothing that the user could see is left in memory.
  onSignedOut: () => location.reload(),
});
