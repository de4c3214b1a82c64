// crun: the contract.
import { findProgram } from '../../src/host/probe.ts';
import { ociSandbox } from '../../src/sandbox/oci-runtime.ts';
import { sandboxContract } from '../contracts/sandbox.ts';

const program = findProgram('crun', process.env.PATH);
if (program === undefined) throw new Error('crun is not installed');
sandboxContract(ociSandbox({ program, name: 'crun', version: '', seccomp: true }));
