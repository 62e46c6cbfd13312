import type { Files } from '../host.ts';
import type { Request } from '../inputs.ts';
import type { Accounts } from '../observe/accounts.ts';
import type { Plan } from '../plan/decided.ts';
import type { Findings } from '../plan/problem.ts';

/** What every check has at hand: what is asked for and planned, whom to ask, who is told, and where files can be kept. */
export type Checking = Readonly<{ request: Request; plan: Plan; accounts: Accounts; findings: Findings; files: Files }>;
