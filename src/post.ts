import { nodeHost } from './node-host.ts';
import { post } from './take-back.ts';

await post(nodeHost());
