import { useMutation, useQuery } from '@apollo/client/react';
import { SetUserAvatarDocument, UpdateUserDocument, UserDocument } from '@roster/client';
import { ProfileForm } from '../../shared/react/ProfileForm';

export function Profile({ id }: { id: string }) {
  const { data, error } = useQuery(UserDocument, { variables: { by: { id } } });
  const [save, saved] = useMutation(UpdateUserDocument);
  const [upload, uploaded] = useMutation(SetUserAvatarDocument);
  return (
    <ProfileForm
      user={data?.user}
      error={error}
      saved={{ payload: saved.data?.updateUser, error: saved.error }}
      uploaded={{ payload: uploaded.data?.setUserAvatar, error: uploaded.error }}
      onSave={(values, expectedVersion) => void save({ variables: { input: { ...values, id, expectedVersion } } })}
      onUpload={(avatar) => void upload({ variables: { input: { id, avatar } } })}
    />
  );
}
