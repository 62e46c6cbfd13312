import type { Place } from '../aws/clients.ts';
import { placeName } from '../aws/errors.ts';
import { makeCipherText, regionOfKey } from '../aws/kms.ts';
import { ask, type Verdict } from '../aws/verdict.ts';
import type { Files } from '../host.ts';
import type { Request } from '../inputs.ts';
import { type Accounts, isOfSource, roleOf } from '../observe/accounts.ts';
import { type Hindrance, type Question, UnaskedError } from '../operations/question.ts';
import type { Plan, TargetPlan } from '../plan/decided.ts';
import type { Operation } from '../plan/operation.ts';
import type { Findings } from '../plan/problem.ts';

/** What is asked for and planned, whom to ask, who is told, and where files can be kept. */
export type Checking = Readonly<{
  request: Request;
  leaseId: string;
  plan: Plan;
  accounts: Accounts;
  findings: Findings;
  files: Files;
}>;

/** Beyond so many targets, what one role may do in one region speaks for its others: a check of each would cost more calls than the work. */
export const eachTargetUpTo = 100;

/** Who does an operation, and so is asked. */
export type Asker = Readonly<{
  place: Place;
  /** What the principal is told by, and what tells it from others. */
  role: string;
  principal: string;
  /** The same principal in another region. */
  at(region: string): Place;
  /** Where it is done in a target, by the target's principal. */
  target: TargetPlan | undefined;
}>;

type Askers = (operation: Operation) => Asker;

export function askersOf(request: Request, { source, targets }: Plan, accounts: Accounts): Askers {
  const byPlace = new Map(targets.map((target) => [placeName(target.target.place), target]));
  const sourceRole = roleOf(source.place, request.source.roleArn);
  return (operation) => {
    const where = operation.place;
    const target = isOfSource(operation) ? undefined : byPlace.get(placeName(where));
    if (target === undefined) {
      const { source: at } = accounts;
      return { place: at(where.region), role: sourceRole, principal: 'source', at, target };
    }
    const { roleArn, principalArn } = target.target;
    const at = (region: string) => accounts.target(where, region);
    return { place: at(where.region), role: roleOf(where, roleArn), principal: principalArn, at, target };
  };
}

/** What AWS answered, and what stands in the way by what was read. */
export type Answer = Readonly<{ asker: Asker; question: Question; verdict: Verdict; hindrances: readonly Hindrance[] }>;

/** Puts questions; a cipher text that several are asked with is made once. @throws what isn't AWS's answer */
export function openAsking(accounts: Accounts): (asker: Asker, question: Question) => Promise<Answer> {
  const texts = new Map<string, Promise<Uint8Array>>();
  const cipherText = (place: Place, keyArn: string, by: string): Promise<Uint8Array> => {
    const name = `${by} ${keyArn}`;
    const text = texts.get(name) ?? makeCipherText(place, keyArn);
    texts.set(name, text);
    return text;
  };
  const put = (asker: Asker, question: Question): Promise<unknown> => {
    if (question.service === 'ec2') return question.ask(asker.place);
    const { keyArn } = question;
    const region = regionOfKey(keyArn);
    const place = asker.at(region);
    return question.ask({
      place,
      cipherText: (by) =>
        by === 'source'
          ? cipherText(accounts.source(region), keyArn, 'source')
          : cipherText(place, keyArn, asker.principal),
    });
  };
  return async (asker, question) => {
    let found: unknown;
    try {
      const verdict = await ask(async () => {
        found = await put(asker, question);
      }, question.dry);
      const hindrances = Array.isArray(found) ? (found as Hindrance[]) : [];
      return { asker, question, verdict: hindrances.length > 0 ? { is: 'may', words: '' } : verdict, hindrances };
    } catch (error) {
      if (!(error instanceof UnaskedError)) throw error;
      return { asker, question, verdict: { is: 'not told', words: '' }, hindrances: [] };
    }
  };
}
