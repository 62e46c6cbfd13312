import { nodeHost } from './node-host.ts';
import { post } from './take-back.ts';

// It catches whatever comes, and never fails the job.
void post(nodeHost());
