export function Picture({ url }: { url: string | null }) {
  return url === null ? <span className="picture" /> : <img className="picture" src={url} alt="" />;
}
