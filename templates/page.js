'use strict'
const find = id => document.getElementById(id)
const form = find('form'), submit = find('submit'), outcome = find('outcome')
const password = find('password'), again = find('again'), signIn = find('sign-in')
const words = {}
for (const word of find('messages').content.children) words[word.dataset.of] = word.textContent

// A link that somebody looks at over a shoulder, or finds in the history, is worth less without its secret.
const token = location.hash.slice(1)
history.replaceState(null, '', location.pathname + location.search)
// Another link that is opened in the same tab changes nothing but what stands behind the #.
addEventListener('hashchange', () => location.reload())

const say = (what, isFault = true) => {
  outcome.textContent = words[what]
  outcome.classList.toggle('fault', isFault)
}

const end = (what, isFault = true) => {
  form.remove()
  say(what, isFault)
  if (signIn) signIn.hidden = false
  outcome.focus()
}

const mark = (field, what) => {
  find(field.id + '-fault').textContent = what ? words[what] : ''
  if (what) field.setAttribute('aria-invalid', 'true')
  else field.removeAttribute('aria-invalid')
}

// The faults of both fields, the first of which is gone to.
const show = faults => {
  for (const [field, what] of faults) mark(field, what)
  const first = faults.find(([, what]) => what)
  if (first) first[0].focus()
  return Boolean(first)
}

const faults = () => {
  const { shortest, longest } = password.dataset
  // Characters, as the server counts them, not the halves of some of them.
  const length = [...password.value].length
  const size = length < Number(shortest) ? 'TOO_SHORT' : length > Number(longest) ? 'TOO_LONG' : ''
  return [[password, size], [again, password.value === again.value ? '' : 'DIFFERENT']]
}

const post = (query, variables, headers) => fetch('graphql', {
  method: 'POST',
  headers: { 'content-type': 'application/json', accept: 'application/json', ...headers },
  body: JSON.stringify({ query, variables }),
})

// What became of it, or the name of what hinders it.
const ask = async () => {
  const input = password ? { token, password: password.value } : { token }
  let response
  try {
    response = await post(form.dataset.query, { input })
  } catch {
    return { hindered: 'UNREACHABLE' }
  }
  try {
    const { data, errors } = await response.json()
    if (data && data.done) return data.done
    return { hindered: errors[0].extensions.code }
  } catch {
    return { hindered: 'FAILED' }
  }
}

const told = done => done.hindered || (done.errors || []).map(error => error.code).find(code => words[code])

const refused = what => {
  if (what === 'EXPIRED' || what === 'TAKEN') return end(what)
  if (password && ['TOO_SHORT', 'TOO_LONG', 'INVALID'].includes(what)) {
    outcome.textContent = ''
    show([[password, what], [again, '']])
    return
  }
  say(words[what] ? what : 'FAILED')
  submit.focus()
}

const finish = async ({ nextUrl, token: session, user }) => {
  if (nextUrl) return location.replace(nextUrl + '#token=' + session)
  // The session that began with it is nobody's: this page keeps nothing.
  if (session) await post(form.dataset.logout, {}, { authorization: 'Bearer ' + session }).catch(() => {})
  end('DONE', false)
  if (!user) return
  find('login').textContent = user.username ?? user.email
  find('account').hidden = false
}

form.addEventListener('submit', async event => {
  event.preventDefault()
  if (submit.disabled) return
  outcome.textContent = ''
  if (password && show(faults())) return
  submit.disabled = true
  say('SENDING', false)
  const done = await ask()
  submit.disabled = false
  if (done.success) await finish(done)
  else refused(told(done))
})

if (!token) end('INCOMPLETE')
