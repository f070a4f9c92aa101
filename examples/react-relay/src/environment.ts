import {
  Environment,
  Network,
  Observable,
  RecordSource,
  Store,
  type FetchFunction,
  type GraphQLResponse,
  type SubscribeFunction,
} from 'relay-runtime';
import { roster } from '../../shared/roster';

const fetch: FetchFunction = async ({ text }, variables) => {
  const { data, errors } = await roster.execute(text ?? '', variables);
  return { data, errors } as GraphQLResponse;
};

export function createEnvironment(onConnect: () => void): Environment {
  const subscribe: SubscribeFunction = ({ text }, variables) =>
    Observable.create((sink) => {
      const controller = new AbortController();
      const deliver = async () => {
        for await (const { data } of roster.subscribeTo(text ?? '', variables, { onConnect, signal: controller.signal })) {
          sink.next({ data } as GraphQLResponse);
        }
      };
      deliver().then(sink.complete, sink.error);
      return () => controller.abort();
    });
  return new Environment({ network: Network.create(fetch, subscribe), store: new Store(new RecordSource()) });
}
