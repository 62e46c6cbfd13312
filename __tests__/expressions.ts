import { data, Evaluator, Lexer, Parser } from '@actions/expressions';

/**
 * What a text with expressions comes to, by GitHub's own evaluator.
 *
 * @throws where an expression isn't one, or names a context that isn't among those given
 */
export function evaluated(text: string, contexts: Readonly<Record<string, unknown>>): string {
  const given = JSON.parse(JSON.stringify(contexts), data.reviver) as data.Dictionary;
  return text.replaceAll(/\$\{\{(.+?)\}\}/g, (_, expression: string) => {
    const tree = new Parser(new Lexer(expression).lex().tokens, Object.keys(contexts), []).parse();
    return new Evaluator(tree, given).evaluate().coerceString();
  });
}
