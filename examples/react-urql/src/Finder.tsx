import { ChangesDocument, ViewerDocument } from '@roster/client';
import { useState } from 'react';
import { useQuery, useSubscription } from 'urql';
import { Frame } from '../../shared/react/Frame';
import { UserList } from '../../shared/react/UserList';
import { Profile } from './Profile';
import { requestPolicyWhen } from './requestPolicy';
import { useUsers } from './useUsers';

export function Finder({ isLive }: { isLive: boolean }) {
  const [{ data }] = useQuery({ query: ViewerDocument, requestPolicy: requestPolicyWhen(isLive) });
  const [selected, setSelected] = useState<string | null>(null);
  const [words, setWords] = useState('');
  useSubscription({ query: ChangesDocument, variables: { types: ['USER'] } });
  return (
    <Frame
      viewer={data?.viewer?.fullName}
      isLive={isLive}
      onSearch={setWords}
      users={<Users key={words} words={words} isLive={isLive} onSelect={setSelected} />}
      profile={selected !== null && <Profile key={selected} id={selected} isLive={isLive} />}
    />
  );
}

interface UsersProps {
  readonly words: string;
  readonly isLive: boolean;
  readonly onSelect: (id: string) => void;
}

function Users({ words, isLive, onSelect }: UsersProps) {
  const { users, error, more } = useUsers(words, isLive);
  return <UserList users={users} error={error} onMore={more} onSelect={onSelect} />;
}
