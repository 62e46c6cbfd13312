import vm from 'node:vm';
import { TestEnvironment } from 'jest-environment-node';

const { createContext } = vm;

/**
 * Jest's own environment, but with an ordinary global object. Jest's is a proxy that node asks at each use of a global,
 * `Array` or `Promise` as well, and a fifth of all computing went there; for this jest has no option.
 */
export default class Environment extends TestEnvironment {
  constructor(config, context) {
    vm.createContext = () => createContext(vm.constants.DONT_CONTEXTIFY);
    try {
      super(config, context);
    } finally {
      vm.createContext = createContext;
    }
  }
}
