type Commit = Readonly<{ author: string; parents: readonly string[]; message: string }>;
export function problemsOf(commit: Commit): string[];
export function commitsOf(base: string, head: string, cwd: string): (Commit & Readonly<{ id: string }>)[];
