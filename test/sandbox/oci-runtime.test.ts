// runc: the contract.
import { findProgram } from '../../src/host/probe.ts';
import { ociSandbox } from '../../src/sandbox/oci-runtime.ts';
import { sandboxContract } from '../contracts/sandbox.ts';

const program = findProgram('runc', process.env.PATH);
if (program === undefined) throw new Error('runc is not installed');
sandboxContract(ociSandbox({ program, name: 'runc', version: '', seccomp: true }));
