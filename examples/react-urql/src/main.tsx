import { useState } from 'react';
import { createRoot } from 'react-dom/client';
import { Provider } from 'urql';
import { SignIn } from '../../shared/react/SignIn';
import { useConnected } from '../../shared/react/useConnected';
import { roster } from '../../shared/roster';
import '../../shared/style.css';
import { createClient } from './client';
import { Finder } from './Finder';

function App() {
  const [isSignedIn, setSignedIn] = useState(roster.tokens.token !== null);
  const { client, isLive } = useConnected(createClient);
  return isSignedIn ? (
    <Provider value={client}>
      <Finder isLive={isLive} />
    </Provider>
  ) : (
    <SignIn onSignedIn={() => setSignedIn(true)} />
  );
}

createRoot(document.getElementById('app')!).render(<App />);
