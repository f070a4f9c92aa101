import { useState } from 'react';
import { createRoot } from 'react-dom/client';
import { RelayEnvironmentProvider } from 'react-relay';
import { SignIn } from '../../shared/react/SignIn';
import { useConnected } from '../../shared/react/useConnected';
import { roster } from '../../shared/roster';
import '../../shared/style.css';
import { createEnvironment } from './environment';
import { Finder } from './Finder';

function App() {
  const [isSignedIn, setSignedIn] = useState(roster.tokens.token !== null);
  const { client: environment, ...connection } = useConnected(createEnvironment);
  return isSignedIn ? (
    <RelayEnvironmentProvider environment={environment}>
      <Finder {...connection} />
    </RelayEnvironmentProvider>
  ) : (
    <SignIn onSignedIn={() => setSignedIn(true)} />
  );
}

createRoot(document.getElementById('app')!).render(<App />);
