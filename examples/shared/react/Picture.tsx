export function Picture({ url }: { url: string | null | undefined }) {
  return url ? <img className="picture" src={url} alt="" /> : <span className="picture" />;
}
