import { SetUserAvatarDocument, UpdateUserDocument, UserDocument } from '@roster/client';
import { useMutation, useQuery } from 'urql';
import { ProfileForm } from '../../shared/react/ProfileForm';
import { requestPolicyWhen } from './requestPolicy';

interface ProfileProps {
  readonly id: string;
  readonly isLive: boolean;
}

export function Profile({ id, isLive }: ProfileProps) {
  const requestPolicy = requestPolicyWhen(isLive);
  const [{ data, error }] = useQuery({ query: UserDocument, variables: { by: { id } }, requestPolicy });
  const [saved, save] = useMutation(UpdateUserDocument);
  const [uploaded, upload] = useMutation(SetUserAvatarDocument);
  return (
    <ProfileForm
      user={data?.user}
      error={error}
      saved={{ payload: saved.data?.updateUser, error: saved.error }}
      uploaded={{ payload: uploaded.data?.setUserAvatar, error: uploaded.error }}
      onSave={(values, expectedVersion) => void save({ input: { ...values, id, expectedVersion } })}
      onUpload={(avatar) => void upload({ input: { id, avatar } })}
    />
  );
}
