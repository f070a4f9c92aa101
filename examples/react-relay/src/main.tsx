import { Suspense, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { RelayEnvironmentProvider } from 'react-relay';
import { SignIn } from '../../shared/react/SignIn';
import { roster } from '../../shared/roster';
import '../../shared/style.css';
import { createEnvironment } from './environment';
import { Finder } from './Finder';

function App() {
  const [isSignedIn, setSignedIn] = useState(roster.tokens.token !== null);
  const [connections, setConnections] = useState(0);
  const [environment] = useState(() => createEnvironment(() => setConnections((count) => count + 1)));
  return isSignedIn ? (
    <RelayEnvironmentProvider environment={environment}>
      <Suspense>
        <Finder connections={connections} />
      </Suspense>
    </RelayEnvironmentProvider>
  ) : (
    <SignIn onSignedIn={() => setSignedIn(true)} />
  );
}

createRoot(document.getElementById('app')!).render(<App />);
