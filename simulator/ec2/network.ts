import type { DescribeSecurityGroupsRequest, DescribeSubnetsRequest } from '@aws-sdk/client-ec2';
import { Refusal } from '../refusal.ts';
import type { SecurityGroup, Subnet } from '../world.ts';
import { authorizeOn, type Ec2Call, type Handler } from './call.ts';
import { checkFilters, type Filterable, matches, pageOf } from './filters.ts';

/* Subnets and security groups, into which instances are launched. */

/** Some of https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSubnets.html */
const subnetFilters: Filterable<Subnet> = {
  complete: false,
  fields: {
    'subnet-id': ({ id }) => [id],
    'vpc-id': ({ vpc }) => [vpc],
    'availability-zone': ({ zone }) => [zone],
    'default-for-az': ({ isDefault }) => [String(isDefault)],
    state: () => ['available'],
  },
  tags: ({ tags }) => tags,
};

export const describeSubnets: Handler<DescribeSubnetsRequest> = async (call, input) => {
  const { SubnetIds, Filters } = input;
  checkFilters(Filters, subnetFilters);
  const asked = await authorizeOn(call, 'DescribeSubnets', {
    dryRun: input.DryRun,
    find: () => SubnetIds?.map((id) => subnetOf(call, id)) ?? [...call.here.launching.subnets.values()],
  });
  const { items, more } = pageOf(
    call,
    asked.filter((subnet) => matches(subnet, Filters, subnetFilters)),
    input,
  );
  const Subnets = items.map(({ id, vpc, zone, isDefault, freeAddresses, givesIpv6 = false, owner, tags }) => ({
    SubnetId: id,
    VpcId: vpc,
    AvailabilityZone: zone,
    DefaultForAz: isDefault,
    State: 'available',
    OwnerId: owner ?? call.caller.account,
    AvailableIpAddressCount: freeAddresses,
    AssignIpv6AddressOnCreation: givesIpv6,
    Ipv6Native: false,
    Tags: tags,
  }));
  return { Subnets, ...more };
};

/** @throws Refusal where there is none */
export function subnetOf({ here }: Ec2Call, id: string): Subnet {
  const subnet = here.launching.subnets.get(id);
  if (subnet === undefined) throw new Refusal('InvalidSubnetID.NotFound', `The subnet ID '${id}' does not exist`);
  return subnet;
}

/** Some of https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSecurityGroups.html */
const groupFilters: Filterable<SecurityGroup> = {
  complete: false,
  fields: {
    'group-id': ({ id }) => [id],
    'group-name': ({ name }) => [name],
    'vpc-id': ({ vpc }) => [vpc],
  },
  tags: ({ tags }) => tags,
};

export const describeSecurityGroups: Handler<DescribeSecurityGroupsRequest> = async (call, input) => {
  const { GroupIds, Filters } = input;
  checkFilters(Filters, groupFilters);
  const asked = await authorizeOn(call, 'DescribeSecurityGroups', {
    dryRun: input.DryRun,
    find: () => GroupIds?.map((id) => groupOf(call, id)) ?? [...call.here.launching.groups.values()],
  });
  const { items, more } = pageOf(
    call,
    asked.filter((group) => matches(group, Filters, groupFilters)),
    input,
  );
  const SecurityGroups = items.map(({ id, vpc, name, owner, tags }) => ({
    GroupId: id,
    GroupName: name,
    VpcId: vpc,
    OwnerId: owner ?? call.caller.account,
    Tags: [...tags],
  }));
  return { SecurityGroups, ...more };
};

/** @throws Refusal where there is none */
export function groupOf({ here }: Ec2Call, id: string): SecurityGroup {
  const group = here.launching.groups.get(id);
  if (group === undefined) throw new Refusal('InvalidGroup.NotFound', `The security group '${id}' does not exist`);
  return group;
}
