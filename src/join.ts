/**
 * The results of all, once every one has ended: nothing that was begun goes on unseen.
 * @throws the first failure in their order, but not before the others have ended too
 */
export async function joined<T extends readonly unknown[]>(
  promises: Readonly<{ [Index in keyof T]: PromiseLike<T[Index]> }>,
): Promise<T> {
  await Promise.allSettled(promises);
  return Promise.all(promises) as unknown as Promise<T>;
}
