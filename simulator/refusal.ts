/** An answer that refuses, as AWS words it; each service writes it in its own format. */
export class Refusal extends Error {
  override name = 'Refusal';
  readonly code: string;
  readonly status: number;

  constructor(code: string, message: string, status = 400) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

/** How each service words that a caller asks too often. */
export function throttled(service: string): Refusal {
  return service === 'ec2'
    ? new Refusal('RequestLimitExceeded', 'Request limit exceeded.', 503)
    : new Refusal(service === 'sts' ? 'Throttling' : 'ThrottlingException', 'Rate exceeded', 400);
}
