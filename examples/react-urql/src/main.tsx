import { useState } from 'react';
import { createRoot } from 'react-dom/client';
import { Provider } from 'urql';
import { Finder } from './Finder';
import { createClient, roster } from './roster';
import { SignIn } from './SignIn';
import './style.css';

function App() {
  const [isSignedIn, setSignedIn] = useState(roster.tokens.token !== null);
  const [isLive, setLive] = useState(false);
  const [client] = useState(() => createClient(() => setLive(true)));
  return isSignedIn ? (
    <Provider value={client}>
      <Finder isLive={isLive} />
    </Provider>
  ) : (
    <SignIn onSignedIn={() => setSignedIn(true)} />
  );
}

createRoot(document.getElementById('app')!).render(<App />);
