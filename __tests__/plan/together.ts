// The plan's tests as one: for each of a thousand mutants, loading AWS's clients once rather than for every file. What
// notices most comes first; the properties of any facts, which take longest, last.
import './plan.test.ts';
import './encrypted-copies.test.ts';
import './evidence.test.ts';
import './route.test.ts';
import './supply.test.ts';
import './approved.test.ts';
import './creation-tags.test.ts';
import './retention.test.ts';
import './succession.test.ts';
import './resume.test.ts';
import './estimate.test.ts';
import './operations.test.ts';
