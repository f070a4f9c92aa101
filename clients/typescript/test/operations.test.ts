import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  ChangePasswordDocument,
  CreateUserDocument,
  formErrors,
  GroupsDocument,
  InstitutionsDocument,
  PayloadError,
  Roster,
  RosterError,
  SearchUsersDocument,
  SetActiveDocument,
  SetGroupMemberDocument,
  SetUserAvatarDocument,
  succeeded,
  UpdateUserDocument,
  UserDocument,
  UsersDocument,
  ViewerDocument,
} from '@roster/client';
import { PICTURE, Server } from './server.js';

let server: Server;
let admin: Roster;

before(async () => {
  server = await Server.start();
  admin = await server.client('license_admin');
});
after(() => server.stop());

let created = 0;

/** A user that one test changes. */
async function newUser() {
  created += 1;
  const input = { firstName: 'Iris', lastName: `Quill ${created}`, email: `iris.${created}@example.org` };
  const { createUser } = await admin.request(CreateUserDocument, { input: { ...input, sendRegistrationEmail: false } });
  const { user } = succeeded(createUser);
  assert(user);
  return user;
}

const isError = (code: string) => (error: unknown) => error instanceof RosterError && error.code === code;

test('a user signs in, is the viewer, and signs out', async () => {
  let signedOut = 0;
  const roster = new Roster({ url: `${server.url}/`, onSignedOut: () => (signedOut += 1) });
  assert.equal((await roster.request(ViewerDocument)).viewer, null);
  const payload = await roster.signIn({ login: server.login('user'), password: server.password });
  assert.equal(payload.success, true);
  const { viewer } = await roster.request(ViewerDocument);
  assert.equal(viewer?.fullName, payload.user?.fullName);
  assert.equal(viewer?.license.isExpired, false);

  const { deviceToken, token } = roster.tokens;
  assert(deviceToken && token);
  await roster.signOut();
  assert.deepEqual(roster.tokens, { token: null, expiresAt: null, deviceToken });
  assert.equal(signedOut, 1);
  await roster.signOut();
  assert.equal((await roster.request(ViewerDocument)).viewer, null);
  await assert.rejects(new Roster({ url: server.url, token }).request(ViewerDocument), isError('UNAUTHENTICATED'));
});

test('a wrong password is an error of the form', async () => {
  const roster = new Roster({ url: server.url });
  const payload = await roster.signIn({ login: 'nobody@example.org', password: 'wrong' });
  assert.equal(payload.success, false);
  assert.equal(roster.tokens.token, null);
  assert.equal(payload.errors[0]?.code, 'INVALID_CREDENTIALS');
  assert.throws(
    () => succeeded(payload),
    (error) => error instanceof PayloadError && error.has('INVALID_CREDENTIALS') && !error.has('LOCKED'),
  );
});

test('a user is found by their address, and nobody by an unknown one', async () => {
  const email = server.login('user');
  const { user } = await admin.request(UserDocument, { by: { email } });
  assert.equal(user?.email, email);
  assert.equal(user.viewerCan.update, true);
  assert.deepEqual(await admin.request(UserDocument, { by: { username: 'nobody' } }), { user: null });
});

test('users are listed page by page, with a filter and in an order', async () => {
  const names = [];
  let after: string | null = null;
  do {
    const {
      users,
    }: {
      users: { edges: { node: { fullName: string } }[]; pageInfo: { endCursor: string | null; hasNextPage: boolean } };
    } = await admin.request(UsersDocument, { first: 10, after, orderBy: [{ field: 'EMAIL', direction: 'DESC' }] });
    names.push(...users.edges.map(({ node }) => node.fullName));
    after = users.pageInfo.hasNextPage ? users.pageInfo.endCursor : null;
  } while (after !== null);
  assert(names.length > 20, `${names.length}`);

  const filter = { position: { contains: 'nurse' }, dateJoined: { lt: new Date() } };
  const { users } = await admin.request(UsersDocument, { filter, first: 3 });
  assert(users.totalCountIsExact && users.totalCount > 0);
  assert(users.edges.every(({ node }) => node.position?.toLowerCase().includes('nurse')));
  await assert.rejects(admin.request(UsersDocument, { first: 101 }), isError('BAD_USER_INPUT'));
});

test('users are found by a name with a typo', async () => {
  const { searchUsers } = await admin.request(SearchUsersDocument, { query: 'sandovla emil', first: 1 });
  const [best] = searchUsers.edges;
  assert.equal(best?.node.fullName, 'Emil Sandoval');
  assert(best.score < 1 && best.matchedFields.includes('LAST_NAME'));
});

test('every error of a new user has its field', async () => {
  const input = { firstName: 'Fred', lastName: ' ', email: 'fred@', attributes: [{ name: 'nothing', value: 1 }] };
  const { createUser } = await admin.request(CreateUserDocument, { input });
  const { fields } = formErrors(createUser);
  assert.deepEqual(Object.keys(fields).sort(), ['attributes.0.name', 'email', 'lastName']);
  assert.equal(fields['lastName']?.[0]?.code, 'REQUIRED');
  const neither = await admin.request(CreateUserDocument, { input: { firstName: 'Fred', lastName: 'Fenn' } });
  const errors = formErrors(neither.createUser);
  assert.equal(errors.form.length + Object.keys(errors.fields).length, 1, JSON.stringify(errors));
});

test('a user is created and updated, unless they have changed meanwhile', async () => {
  const { id, version } = await newUser();
  const input = { id, expectedVersion: version, position: 'Charge Nurse', phone: null };
  const { updateUser } = await admin.request(UpdateUserDocument, { input });
  assert.equal(succeeded(updateUser).user?.position, 'Charge Nurse');
  const conflict = await admin.request(UpdateUserDocument, { input: { ...input, position: 'Nurse' } });
  assert.deepEqual(
    [conflict.updateUser?.errors[0]?.code, conflict.updateUser?.user?.position],
    ['CONFLICT', 'Charge Nurse'],
  );
});

test('a user is deactivated', async () => {
  const { id } = await newUser();
  const { setActive } = await admin.request(SetActiveDocument, { input: { id, active: false, reason: 'Has left' } });
  assert.equal(succeeded(setActive).user?.isActive, false);
});

test('a mutation without the right is refused', async () => {
  const [{ id }, user] = [await newUser(), await server.client('user')];
  await assert.rejects(user.request(SetActiveDocument, { input: { id, active: false } }), isError('FORBIDDEN'));
});

test('a user changes their password', async () => {
  const roster = await server.client('group_owner');
  const input = { currentPassword: 'wrong', newPassword: 'velvet-anchor-lantern-42' };
  const { changePassword } = await roster.request(ChangePasswordDocument, { input });
  assert.equal(formErrors(changePassword).fields['currentPassword']?.[0]?.code, 'INVALID_CREDENTIALS');
  const right = { ...input, currentPassword: server.password };
  succeeded((await roster.request(ChangePasswordDocument, { input: right })).changePassword);
  const login = { login: server.login('group_owner'), password: input.newPassword };
  assert.equal((await roster.signIn(login)).success, true);
});

test('a picture is uploaded, shown and removed', async () => {
  const { id } = await newUser();
  const { setUserAvatar } = await admin.request(SetUserAvatarDocument, { input: { id, avatar: PICTURE } });
  const url = succeeded(setUserAvatar).user?.avatarUrl;
  assert(url);
  const picture = await fetch(url);
  assert.equal(picture.headers.get('content-type'), 'image/png');
  await picture.arrayBuffer();
  const removed = await admin.request(SetUserAvatarDocument, { input: { id, avatar: null } });
  assert.equal(succeeded(removed.setUserAvatar).user?.avatarUrl, null);

  const text = new Blob(['no picture'], { type: 'image/png' });
  const refused = await admin.request(SetUserAvatarDocument, { input: { id, avatar: text } });
  assert.equal(formErrors(refused.setUserAvatar).fields['avatar']?.[0]?.code, 'INVALID');
  const large = new Blob([new Uint8Array(3 * 1024 * 1024)]);
  await assert.rejects(
    admin.request(SetUserAvatarDocument, { input: { id, avatar: large } }),
    isError('PAYLOAD_TOO_LARGE'),
  );
});

test('groups and institutions are listed, and a user joins a group', async () => {
  const { groups } = await admin.request(GroupsDocument, { first: 1 });
  const { institutions } = await admin.request(InstitutionsDocument, { first: 1 });
  assert(institutions.edges[0]?.node.displayName && institutions.totalCount > 0);
  const group = groups.edges[0]?.node;
  assert(group);
  const { id } = await newUser();
  const input = { groupId: group.id, userId: id, role: 'MEMBER' as const };
  succeeded((await admin.request(SetGroupMemberDocument, { input })).setGroupMember);
  const { user } = await admin.request(UserDocument, { by: { id } });
  assert.deepEqual(user?.groups, [{ id: group.id, name: group.name }]);
});

test('a session that has ended is renewed once for all requests', async () => {
  let asked = 0;
  const roster = new Roster({
    url: server.url,
    token: 'ros_ended',
    renew: () => {
      asked += 1;
      return { login: server.login('admin'), password: server.password };
    },
  });
  const viewers = await Promise.all([1, 2, 3].map(() => roster.request(ViewerDocument)));
  assert.deepEqual(
    viewers.map(({ viewer }) => viewer?.email),
    Array(3).fill(server.login('admin')),
  );
  assert.equal(asked, 1);
});

test('a session that is not renewed ends', async () => {
  let signedOut = 0;
  const renewals = [undefined, () => null, () => ({ login: 'nobody', password: 'wrong' })];
  for (const renew of renewals) {
    const roster = new Roster({ url: server.url, token: 'ros_ended', renew, onSignedOut: () => (signedOut += 1) });
    await assert.rejects(roster.request(ViewerDocument), isError('UNAUTHENTICATED'));
    assert.equal((await roster.request(ViewerDocument)).viewer, null);
  }
  assert.equal(signedOut, renewals.length);
});

test('a device signs in with a PIN after the password', async () => {
  const roster = new Roster({ url: server.url, headers: { 'Accept-Language': 'fr' } });
  const login = server.login('superuser');
  await roster.signIn({ login, password: server.password });
  await roster.request<unknown, object>('mutation { setPin(input: { pin: "0472" }) { success } }');
  await roster.signOut();
  assert.equal((await roster.signIn({ login, pin: '0472' })).success, true);
  assert(roster.tokens.deviceToken);
});
