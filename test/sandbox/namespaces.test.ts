// The built-in rung: the contract.
import { namespaceSandbox } from '../../src/sandbox/namespaces.ts';
import { sandboxContract } from '../contracts/sandbox.ts';

sandboxContract(namespaceSandbox());
