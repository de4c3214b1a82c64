// Copies in place of mounts: the contract.
import { copyingDriver } from '../../src/snapshot/copying.ts';
import { snapshotContract } from '../contracts/snapshot.ts';

snapshotContract(copyingDriver());
