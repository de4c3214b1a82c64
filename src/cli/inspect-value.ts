// What inspect found as the structs that docker's templates see: fields that its JSON leaves out are there and empty.
import { fromJson, isStruct, nilList, nilMap, type Struct, type Value } from './template/value.ts';

/** Objects of the JSON whose keys are the user's, not ours: a key that is missing has no value. */
const maps = new Set(['Labels', 'ExposedPorts', 'Volumes', 'annotations']);

const unsaid: Struct = { Variant: '', OsVersion: '' };
const unsaidInConfig: Struct = {
  ExposedPorts: nilMap,
  Healthcheck: null,
  ArgsEscaped: false,
  NetworkDisabled: false,
  MacAddress: '',
  StopSignal: '',
  StopTimeout: null,
  Shell: nilList,
};

export function inspectValue(json: unknown): Value {
  const image = fromJson(json, field => maps.has(field));
  if (!isStruct(image) || !isStruct(image.Config)) return image;
  const config = Object.entries(image.Config).map(([field, value]) => [field, value ?? nil(field)]);
  return completed({ ...image, Config: completed(Object.fromEntries(config), unsaidInConfig) }, unsaid);
}

function nil(field: string): Value {
  return maps.has(field) ? nilMap : nilList;
}

/** The function `json` and the printing of a whole struct do not see what was added. */
function completed(value: Struct, fields: Struct): Struct {
  const complete = { ...value };
  for (const [field, empty] of Object.entries(fields)) {
    if (!Object.hasOwn(complete, field)) Object.defineProperty(complete, field, { value: empty });
  }
  return complete;
}
